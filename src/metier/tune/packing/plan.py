"""Which examples make up each optimiser step: full batches without padding, planned in advance.

Every step takes at most ``batch_tokens`` real tokens. Examples are taken in a shuffled order and
each goes into the fullest open batch that still has room (best fit), so none is ever split. The
whole run is planned before it starts, so that a resumed run continues the very same plan.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.tune.types import PassMode

OPEN_BATCHES = 64
Batch = tuple[int, ...]
"""Indices of the examples that go together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All optimiser steps of a run. ``epoch_ends`` holds the number of steps done after each
    (perhaps partial) pass over the data."""

    steps: tuple[Batch, ...]
    epoch_ends: tuple[int, ...]


def plan(lengths: Sequence[int], batch_tokens: int, epochs: float, seed: int) -> Plan:
    """Plan a run over examples of the given lengths; deterministic under ``seed``.

    A fractional last epoch takes that fraction of its batches, at least one.
    """
    steps: list[Batch] = []
    ends: list[int] = []
    for epoch in range(math.ceil(epochs)):
        order = np.random.default_rng([seed, epoch])
        batches = pack(lengths, batch_tokens, order.permutation(len(lengths)).tolist())
        # Best fit leaves the emptiest batches last: shuffled, they come at any time.
        batches = [batches[at] for at in order.permutation(len(batches))]
        part = min(1.0, epochs - epoch)
        steps += batches[: max(1, round(part * len(batches)))]
        ends.append(len(steps))
    return Plan(tuple(steps), tuple(ends))


def pack(lengths: Sequence[int], budget: int, order: Sequence[int]) -> list[Batch]:
    """Put examples, in ``order``, into batches of at most ``budget`` tokens by best fit.

    An example longer than the budget makes a batch of its own. At most ``OPEN_BATCHES`` batches
    stay open; the fullest is closed first, which keeps the time near linear.
    """
    batches: list[list[int]] = []
    room: list[tuple[int, int]] = []
    for index in order:
        length = lengths[index]
        fit = bisect_left(room, (length, -1))
        if fit < len(room):
            left, batch = room.pop(fit)
        else:
            left, batch = budget, len(batches)
            batches.append([])
        batches[batch].append(index)
        if left > length:
            insort(room, (left - length, batch))
        if len(room) > OPEN_BATCHES:
            room.pop(0)
    return [tuple(batch) for batch in batches]


def split(batch: Sequence[int], lengths: Sequence[int], most_tokens: int | None) -> list[Batch]:
    """Cut one step's examples into forward passes of at most ``most_tokens`` tokens (None: one).

    Examples are sorted by length, longest first, so that a pass holds examples of a kind.
    """
    ordered = sorted(batch, key=lambda index: (-lengths[index], index))
    return [tuple(ordered)] if most_tokens is None else pack(lengths, most_tokens, ordered)


def fill(plan: Plan, lengths: Sequence[int], batch_tokens: int) -> float:
    """Return how full the steps are: real tokens over steps times ``batch_tokens``."""
    real = sum(lengths[index] for batch in plan.steps for index in batch)
    return real / (len(plan.steps) * batch_tokens)


def alike(batch: Sequence[int], lengths: Sequence[int], most_tokens: int) -> list[Batch]:
    """Cut one step's examples into passes for padding: no example under half the longest, and at
    most ``most_tokens`` tokens with the padding counted."""
    parts: list[list[int]] = []
    for index in sorted(batch, key=lambda index: (-lengths[index], index)):
        longest = lengths[parts[-1][0]] if parts else 0
        full = parts and (len(parts[-1]) + 1) * longest > most_tokens
        if not parts or full or lengths[index] * 2 < longest:
            parts.append([])
        parts[-1].append(index)
    return [tuple(part) for part in parts]


def cut(
    batch: Sequence[int],
    lengths: Sequence[int],
    mode: PassMode,
    most_tokens: int | None,
    batch_tokens: int,
) -> list[Batch]:
    """Cut one step's items into forward passes for the layout ``mode``; padded passes hold items of
    similar length only."""
    if mode != "padded":
        return split(batch, lengths, most_tokens)
    return alike(batch, lengths, most_tokens or batch_tokens)
