"""Rows made to be hard: a split of their own, and a share to learn from.

config   which kinds, how many
kinds    one challenging sibling of a row, by kind
make     make_challenge: the split and the training siblings
part     parted: none of them like what is on the other side
"""
