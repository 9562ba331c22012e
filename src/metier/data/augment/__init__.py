"""More training rows from those there are: noise, swaps, templates, models that rewrite.

config   which ways, and which files of made rows join training
make     make_rows: the ways over training rows, filtered
made     a made row, and the file it is kept in
keep     the filter: does the target still hold?
join     which rows of the files may join a version's training rows
sheet    the filter's precision on a sample that people checked
"""
