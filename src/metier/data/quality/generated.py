"""Written targets that their neighbours, or a language model, speak against.

Disagreement: rows that ask nearly the same are answered alike, and this one is not. Loss: per
token-like unit the target is much less likely to a language model than targets of its length are.
Both rank what to look at first; neither says that a target is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metier.core.completer import Completer
from metier.core.errors import InputError
from metier.core.types import Conversation
from metier.data.quality.confident import FloatArray
from metier.data.quality.neighbours import Near, vectors_of
from metier.data.quality.targets import Written

ALIKE = 0.3
"""Cosine of prompts from which their targets should be alike."""
LOUD = 3.0
"""Robust z from which a target is suspected."""
LENGTH_BINS = 10
BIN_ROWS = 30


@dataclass(frozen=True, slots=True)
class Unlikely:
    """A target that stands out; ``z`` says by how many robust standard deviations."""

    target: Written
    reason: str
    z: float
    evidence: dict[str, float]


def disagreeing(targets: Sequence[Written], near: Near) -> list[Unlikely]:
    """Return targets unlike those of the nearest prompts, which are like one another.

    ``near`` holds the neighbours of the targets' rows, in the same order.
    """
    if len(targets) < BIN_ROWS:
        return []
    vectors = vectors_of([one.text for one in targets])
    gaps = np.full(len(targets), np.nan)
    own, among = np.zeros(len(targets)), np.zeros(len(targets))
    for row in range(len(targets)):
        close = near.at[row][(near.at[row] >= 0) & (near.cosine[row] >= ALIKE)]
        if len(close) < 2:
            continue
        table = vectors[np.concatenate([[row], close])]
        cosine = (table @ table.T).toarray()
        own[row] = cosine[0, 1:].mean()
        inner = cosine[1:, 1:]
        among[row] = (inner.sum() - np.trace(inner)) / (len(close) * (len(close) - 1))
        gaps[row] = among[row] - own[row]
    z = robust_z(gaps)
    loud = np.flatnonzero(np.nan_to_num(z, nan=-np.inf) >= LOUD).tolist()
    found = [
        Unlikely(
            targets[i],
            "unlike_neighbours",
            float(z[i]),
            {"like_neighbours": round(own[i], 3), "neighbours_alike": round(among[i], 3)},
        )
        for i in loud
    ]
    return sorted(found, key=lambda one: (-one.z, one.target.example.id))


def unlikely(
    targets: Sequence[Written],
    asked: Sequence[Conversation],
    completer: Completer,
    advance: Callable[[], None] = lambda: None,
) -> list[Unlikely]:
    """Return targets that are unlikely to a language model for their length.

    ``asked`` holds what is put before each target. Raises InputError when the model cannot score.
    """
    if not completer.capabilities.scores:
        raise InputError(
            "a model that gives probabilities of texts",
            got=completer.name,
            remedy="name a local base model, or leave the loss out",
        )
    losses, lengths = np.zeros(len(targets)), np.zeros(len(targets))
    for i, (target, conversation) in enumerate(zip(targets, asked, strict=True)):
        lengths[i] = max(1, len(target.text))
        losses[i] = -completer.score([conversation], [target.text])[0][0] / lengths[i]
        advance()
    z = z_by_length(losses, lengths)
    found = [
        Unlikely(targets[i], "high_loss", float(z[i]), {"nats_per_character": round(losses[i], 3)})
        for i in np.flatnonzero(z >= LOUD).tolist()
    ]
    return sorted(found, key=lambda one: (-one.z, one.target.example.id))


def z_by_length(values: FloatArray, lengths: FloatArray) -> FloatArray:
    """Return robust z within bins of like length; short texts have larger losses by nature."""
    order = np.argsort(lengths, kind="stable")
    bins = max(1, min(LENGTH_BINS, len(values) // BIN_ROWS))
    z = np.zeros(len(values))
    for part in np.array_split(order, bins):
        z[part] = robust_z(values[part])
    return z


def robust_z(values: FloatArray) -> FloatArray:
    """Return (value - median) / (1.4826 MAD), NaN where the value is; 0 where nothing varies.

    1.4826 makes it the standard deviation of normal values. Where more than half of the values
    are the same, the mean absolute deviation (times 1.2533) takes the place of the median one:
    Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return values
    gaps = np.abs(known - np.median(known))
    spread = 1.4826 * float(np.median(gaps)) or 1.2533 * float(gaps.mean())
    found: FloatArray = (values - np.median(known)) / spread if spread else values * 0.0
    return found
