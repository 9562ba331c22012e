"""What is judged, and what judges say: items, pairs, ratings, choices, and a panel's estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metier.core.errors import InputError
from metier.core.types import Estimate

Winner = Literal["a", "b", "tie"]
WORTH: dict[Winner, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}
FAILED_REPLY = "there is no reply to judge"


@dataclass(frozen=True, slots=True)
class Item:
    """One reply to be rated (``reply`` None: it failed); ``context`` is what it may draw on."""

    id: str
    question: str
    reply: str | None
    context: str = ""
    reference: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to the same question; ``a`` is the candidate, which every failure counts
    against."""

    id: str
    question: str
    a: str | None
    b: str | None
    context: str = ""
    reference: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """One verdict: ``value`` 1 to 5, the worst where ``failure`` says why there is none."""

    item: str
    judge: str
    dimension: str
    value: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One judge on one pair. ``orders`` are the winners with a shown first, then with b first;
    ``flipped``: the two contradict each other; ``first`` counts verdicts for the first place."""

    pair: str
    judge: str
    winner: Winner
    orders: tuple[Winner, ...]
    flipped: bool
    first: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """What the judges found: estimates by name, and every single verdict."""

    metrics: Mapping[str, Estimate]
    ratings: tuple[Rating, ...] = ()
    choices: tuple[Choice, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Why verdicts are missing, with the item, in order."""
        failed = [(one.item, one.failure) for one in self.ratings if one.failure]
        failed += [(one.pair, one.failure) for one in self.choices if one.failure]
        return [f"{where}: {why}" for where, why in failed]


def refuse_duplicates(ids: Sequence[str]) -> None:
    """Raise InputError when an id stands twice: one verdict would count for two replies."""
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise InputError("an id of its own for everything judged", got=f"{one!r} twice")
        seen.add(one)
