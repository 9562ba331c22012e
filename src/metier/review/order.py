"""Orders that are random and always the same: of items, of sides, of arms.

Each is drawn from a hash of the panel's seed and what it is about, so that it can be told again
from the stored ids alone, and nobody can see it in the page.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
BLOCK = 24
"""Items of one block: whoever works through one sees every candidate's reply to its cases."""


def draw(*parts: object) -> int:
    """A number of 64 bits from what it is drawn for."""
    text = "\n".join(str(one) for one in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def shuffled(items: Iterable[T], seed: object) -> list[T]:
    """The items in an order that the seed decides."""
    found = list(items)
    random.Random(draw(seed)).shuffle(found)
    return found


def turned(seed: int, item_id: str, person: str) -> bool:
    """Whether this person sees reply b of an item first (left)."""
    return bool(draw(seed, item_id, person, "sides") & 1)


def is_assisted(seed: int, item_id: str, place: int) -> bool:
    """Whether whoever has this place at an item of a timed study sees the draft.

    Neighbouring places have different arms, so that each case is answered in both; which one comes
    first is drawn per item, so that each person meets both.
    """
    return bool((draw(seed, item_id, "arms") + place) & 1)
