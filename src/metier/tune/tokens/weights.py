"""Weights in the loss by field: in a structured reply every field counts the same.

``{"route": "billing", "reply": "We check the payment today."}``: with one weight for every token,
the two tokens of the label are a twentieth of the loss, and a small model learns the wording of
replies long before it learns to route.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from metier.tune.tokens.masks import Masked

_DECODER = json.JSONDecoder()


def by_field(tokenizer: Any, masked: Masked, reply: str) -> list[float] | None:
    """Return a weight per token: a field's tokens share what all fields have, one part each.

    The mean over the tokens inside fields is 1; tokens between fields and the end of the turn keep
    1. None (all the same) where the reply's tokens cannot be told apart, e.g. in a shortened one.
    """
    ids = masked.input_ids
    start = len(ids) - masked.supervised[::-1].index(False)
    if not tokenizer.is_fast:
        return None
    alone = tokenizer(reply, add_special_tokens=False, return_offsets_mapping=True)
    if list(ids[start : start + len(alone["input_ids"])]) != alone["input_ids"]:
        return None
    owners = [_owner(place, value_spans(reply)) for place in alone["offset_mapping"]]
    counts = {field: owners.count(field) for field in set(owners) - {None}}
    if not counts:
        return None
    share = sum(counts.values()) / len(counts)
    weights = [1.0] * len(ids)
    for at, field in enumerate(owners, start):
        if field is not None:
            weights[at] = share / counts[field]
    return weights


def value_spans(reply: str) -> list[tuple[int, int]]:
    """Return the character ranges of the values of a JSON object, in order; [] of other text."""
    spans: list[tuple[int, int]] = []
    at = 1
    try:
        while at < len(reply) and reply[at] == '"':
            _, end = _DECODER.raw_decode(reply, at)
            begin = end + len(": ")
            _, at = _DECODER.raw_decode(reply, begin)
            spans.append((begin, at))
            at += len(", ")
    except ValueError:
        return []
    return spans


def _owner(place: Sequence[int], spans: Sequence[tuple[int, int]]) -> int | None:
    """The number of the value a token's characters belong to (None: it stands between values)."""
    first, last = place
    return next((n for n, (a, b) in enumerate(spans) if first < b and last > a), None)
