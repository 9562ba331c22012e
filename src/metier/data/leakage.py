"""Leakage: the same text, nearly the same text, or the same group on two sides of a split.

This is a gate of its own: it looks at the splits about to be frozen, however they came about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metier.core.errors import InputError
from metier.core.types import Example
from metier.data.duplicates import prompt_key, prompt_text
from metier.similarity import near_duplicates

# Of two sides, the one nearer the end gives way.
YIELDS = ("test", "validation", "train")
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """Two rows that must not be on two sides. ``taints`` is the measured row, ``yields`` the one
    that would have to go; ``similarity`` is 1 for exact leaks, None for groups."""

    kind: Literal["exact", "near", "group"]
    taints: Example
    yields: Example
    sides: tuple[str, str]
    similarity: float | None


def find_leaks(splits: Mapping[str, Sequence[Example]], near: float) -> list[Leak]:
    """Return the leaks between the splits, strongest kind first; one per yielding row.

    Args:
        splits: examples by split.
        near: Jaccard similarity from which two prompts leak.
    """
    sides = [(name, row) for name in YIELDS for row in splits.get(name, ())]
    leaks: dict[str, Leak] = {}
    for leak in (*_shared(sides, "exact"), *_near(sides, near), *_shared(sides, "group")):
        leaks.setdefault(leak.yields.id, leak)
    return list(leaks.values())


def _shared(
    sides: Sequence[tuple[str, Example]], kind: Literal["exact", "group"]
) -> Iterator[Leak]:
    """Leaks of rows that share a key with a row of an earlier side."""
    first: dict[str, tuple[str, Example]] = {}
    for name, row in sides:
        key = prompt_key(row) if kind == "exact" else row.group
        if key is None:
            continue
        side, other = first.setdefault(key, (name, row))
        if side != name:
            yield Leak(kind, other, row, (side, name), 1.0 if kind == "exact" else None)


def _near(sides: Sequence[tuple[str, Example]], threshold: float) -> Iterator[Leak]:
    if len({name for name, _ in sides}) < 2:
        return
    ordered = sorted(sides, key=lambda side: (YIELDS.index(side[0]), side[1].content_hash))
    pairs = near_duplicates([prompt_text(row) for _, row in ordered], threshold)
    for a, b, similarity in sorted(pairs):
        (side_a, row_a), (side_b, row_b) = ordered[min(a, b)], ordered[max(a, b)]
        if side_a != side_b:
            yield Leak("near", row_a, row_b, (side_a, side_b), similarity)


def refuse(leaks: Sequence[Leak]) -> None:
    """Raise when there are leaks, showing some of the pairs.

    Raises:
        InputError: nothing is frozen.
    """
    if not leaks:
        return
    kinds: dict[str, int] = defaultdict(int)
    for leak in leaks:
        kinds[leak.kind] += 1
    counts = ", ".join(f"{n} by {_WORDS[kind]}" for kind, n in sorted(kinds.items()))
    shown = "".join(f"\n  {describe(leak)}" for leak in leaks[:SHOWN])
    more = f"\n  and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
    raise InputError(
        "splits that share no text and no group",
        got=f"{len(leaks)} rows that leak ({counts}):{shown}{more}",
        remedy='take the rows out of one side, or set [data] leakage = "quarantine" to keep the '
        "test row and move the other to quarantine",
    )


_WORDS = {"exact": "the same text", "near": "nearly the same text", "group": "the same group"}


def describe(leak: Leak) -> str:
    """Say which two rows leak, by id and place; texts stay out of messages and logs."""
    rows = zip(leak.sides, (leak.taints, leak.yields), strict=True)
    places = " and ".join(
        f"{side} {row.id} ({row.provenance.source}:{row.provenance.locator})" for side, row in rows
    )
    measure = f", similarity {leak.similarity:.2f}" if leak.similarity is not None else ""
    return f"{_WORDS[leak.kind]}{measure}: {places}"
