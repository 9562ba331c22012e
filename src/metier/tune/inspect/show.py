"""One example as people read it: whole characters, supervised or not, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from metier.tune.inspect.types import Inspected, Piece, Row, Token

BROKEN = "�"
LONGEST_CHARACTER = 6
"""Tokens that one character takes at most: UTF-8 has four bytes."""
CONTEXT = 4
"""Tokens decoded before a piece: what a token reads as depends on those before it."""


def shown(row: Row, tokenizer: Any) -> Inspected:
    """Return the row's tokens and texts."""
    one = row.encoded
    pairs = list(zip(one.input_ids, one.supervised, strict=True))
    texts = tuple(
        (supervised, tokenizer.decode([index for index, _ in run]))
        for supervised, run in groupby(pairs, key=lambda pair: pair[1])
    )
    tokens = tuple(Token(tokenizer.decode([index]), supervised) for index, supervised in pairs)
    return Inspected(one.example_id, tokens, texts, tuple(_pieces(row, tokenizer)), row.cut)


def _pieces(row: Row, tokenizer: Any) -> list[Piece]:
    ids, mask, roles = row.encoded.input_ids, row.encoded.supervised, _roles(row)
    found: list[Piece] = []
    start = 0
    for stop in range(1, len(ids) + 1):
        text = _text(tokenizer, ids, start, stop)
        whole = not text.endswith(BROKEN) or stop - start >= LONGEST_CHARACTER
        edge = stop == len(ids) or mask[stop] != mask[start]
        if whole or edge:
            found.append(Piece(text, mask[start], roles[start], tuple(ids[start:stop])))
            start = stop
    return found


def _text(tokenizer: Any, ids: Sequence[int], start: int, stop: int) -> str:
    """Return what tokens ``start`` to ``stop`` add to the text before them."""
    begin = max(0, start - CONTEXT)
    before: str = tokenizer.decode(list(ids[begin:start]))
    whole: str = tokenizer.decode(list(ids[begin:stop]))
    if whole.startswith(before):
        return whole[len(before) :]
    alone: str = tokenizer.decode(list(ids[start:stop]))
    return alone


def _roles(row: Row) -> list[str | None]:
    roles: list[str | None] = [None] * len(row.encoded.input_ids)
    for turn in row.turns or ():
        roles[turn.start : turn.stop] = [turn.role] * (turn.stop - turn.start)
    return roles
