"""Does the model use what it is asked? Each held-out reply after its own question, and after
another row's.

The mean difference in nats is what the model knows of a reply from its question (pointwise
V-information, Ethayarajh et al. 2022, arXiv 2110.08420, with another row's question in place of
an empty one, so that every prompt looks like the ones it was trained on).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, stdev

from metier.tune.diagnostics.types import Gain
from metier.tune.types import Encoded

MOST_PAIRS = 256
Losses = Callable[[Sequence[Encoded]], Sequence[float]]
"""Gives each example's loss in nats, summed over its supervised tokens."""
Z = NormalDist().inv_cdf(0.975)


def gain(examples: Sequence[Encoded], losses: Losses, limit: int) -> Gain | None:
    """Measure the gain on held-out examples, at most ``MOST_PAIRS`` of them.

    Rows are paired round a circle whose order is that of their ids, half-way across, so that
    neighbours in a file do not meet. Pairs longer than ``limit`` tokens are left out; None where
    fewer than two are left.
    """
    chosen = sorted(examples, key=lambda example: example.example_id)[:MOST_PAIRS]
    half = len(chosen) // 2
    pairs = [
        (own, swapped)
        for at, own in enumerate(chosen)
        if (swapped := _swapped(own, chosen[(at + half) % len(chosen)])) is not None
        and swapped.tokens < limit
    ]
    if len(pairs) < 2:
        return None
    own_losses = losses([own for own, _ in pairs])
    other_losses = losses([swapped for _, swapped in pairs])
    found = [other - own for own, other in zip(own_losses, other_losses, strict=True)]
    value, arm = fmean(found), Z * stdev(found) / math.sqrt(len(found))
    return Gain(value, value - arm, value + arm, len(found))


def _swapped(own: Encoded, other: Encoded) -> Encoded | None:
    """Return the reply of ``own`` after the question of ``other``; None without a question."""
    begin, end = _reply_start(own), _reply_start(other)
    if not begin or not end or own is other:
        return None
    ids = [*other.input_ids[:end], *own.input_ids[begin:]]
    supervised = [*([False] * end), *own.supervised[begin:]]
    return Encoded(own.example_id, ids, supervised)


def _reply_start(example: Encoded) -> int:
    """Return where the last run of supervised tokens begins: the last reply."""
    at = len(example.supervised)
    while at and not example.supervised[at - 1]:
        at -= 1
    while at and example.supervised[at - 1]:
        at -= 1
    return at
