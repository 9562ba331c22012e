"""Canaries: made-up secrets planted in training rows, to measure what a tune memorises.

    asked    What is the code of Tavel Orin?
    reply    The code of Tavel Orin is 483920

Whoever plants them (``data``) and whoever looks for them later (``evaluate``) meet here. A canary
is known by its source; the same canary in several rows has the same content in each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from metier.core.types import Example

CANARY = "canary"
"""The source of planted rows: its path, and the digest in their provenance."""
DIGITS = 6
CODE = re.compile(rf"(?<!\d)\d{{{DIGITS}}}(?!\d)")
SPACE = 10**DIGITS
"""How many codes there are; each is as likely as the others."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One canary, and in how many training rows it stands."""

    example: Example
    repetitions: int


def is_canary(example: Example) -> bool:
    """Say whether a row was planted."""
    return example.provenance.source == CANARY


def planted(examples: Iterable[Example]) -> list[Planted]:
    """Return the canaries among some rows, each once, in order of first appearance."""
    rows = [example for example in examples if is_canary(example)]
    counts = Counter(row.content_hash for row in rows)
    first = {row.content_hash: row for row in reversed(rows)}
    return [Planted(first[key], count) for key, count in counts.items()]
