"""Data quality: what may be wrong with rows that are in a version, and what to do about it.

    confident    confident learning: which labels the other rows speak against
    labels       label suspects of a version's rows
    generated    written targets: unlike their neighbours' targets, or unlikely to a language model
    targets      written targets that are poor by themselves: empty, cut off, repeating, refusing
    outliers     prompts unlike all others
    balance      who is in the data: representation, label rates and errors by slice and group
    suspects     decisions of people about suspects; the next build carries them out
    rebalance    after the split, for training alone: slices and labels in better proportion

Nothing here drops or changes a row by itself.
"""
