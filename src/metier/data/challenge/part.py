"""Keeps challenging rows apart: what is measured from what is learned, and the other way round.

A changed test row may say what a training row says: it is left out, for it would measure memory,
and the next build would refuse that training row. A changed training row may say what a test row
says: it is left out, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from metier.core.types import Example
from metier.data.augment.made import CHALLENGE
from metier.data.challenge.make import Challenge
from metier.data.leakage import Gate, find_leaks
from metier.data.spool import Chained

LIKE_LEARNED, LIKE_MEASURED = "nearly what is learned", "nearly what is measured"


def parted(made: Challenge, splits: Mapping[str, Sequence[Example]], gate: Gate) -> Challenge:
    """Return the challenging rows that are like nothing on the other side, the rest counted."""
    left: Counter[str] = Counter()
    learned = Chained(splits["train"], splits.get("validation", ()))
    split = _unlike(made.split, learned, replace(gate, before=()))
    left[LIKE_LEARNED] = len(made.split) - len(split)
    measured = {name: rows for name, rows in splits.items() if name not in ("train", "validation")}
    measured = {**measured, "held out": splits.get("validation", ()), CHALLENGE: split}
    leaks = find_leaks({**measured, "train": made.train}, gate) if made.train else []
    gone = {leak.yields.id for leak in leaks}
    train = tuple(row for row in made.train if row.id not in gone)
    left[LIKE_MEASURED] = len(gone)
    return Challenge(split, train, {why: count for why, count in left.items() if count})


def _unlike(
    rows: tuple[Example, ...], learned: Sequence[Example], gate: Gate
) -> tuple[Example, ...]:
    """Return the rows that nothing learned is like. One leak is told per learned row, so it is
    asked again until there is none."""
    while rows:
        gone = {leak.taints.id for leak in find_leaks({CHALLENGE: rows, "train": learned}, gate)}
        if not gone:
            return rows
        rows = tuple(row for row in rows if row.id not in gone)
    return rows
