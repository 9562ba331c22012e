"""Step: one thing done to the data. Nothing is lost: a drop carries its reason.

A Step may look at everything first (``fit``), then decides example by example. The frame that
runs Steps, counts, and writes drops to quarantine is ``metier.data.pipeline``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from metier.core.types import Example, Json


@dataclass(frozen=True, slots=True)
class Change:
    """One edit: both texts are sealed when stored (personal data may survive an edit),
    ``rule`` is not.

    ``place`` says which text of the example, as a JSON pointer (``/messages/0/0``, the message and
    its part; ``/target/text``); ``moved`` holds the spans or labels of the target before the edit,
    where it moved or merged them.
    """

    rule: str
    before: str
    after: str
    place: str = ""
    moved: Json = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The example stays, perhaps changed."""

    example: Example
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """The example goes to quarantine. ``reason`` is a short slug, ``evidence`` shows why."""

    example: Example
    reason: str
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Add:
    """A new example made from ``parent`` (an example id)."""

    parent: str
    example: Example


@dataclass(frozen=True, slots=True)
class Suspect:
    """The example stays, and a person should look at it."""

    example: Example
    reason: str
    evidence: Mapping[str, Json] = field(default_factory=dict)


Outcome = Keep | Drop | Add | Suspect


@runtime_checkable
class Step(Protocol):
    """One pass over the data. ``name`` is stable: it names provenance, counts and quarantine."""

    @property
    def name(self) -> str:
        """The step's slug, e.g. ``near_duplicates``."""
        ...

    def apply(self, batch: Sequence[Example], state: Json) -> Iterable[Outcome]:
        """Decide on each example of the batch; must not depend on how batches are cut."""
        ...


@runtime_checkable
class FittedStep(Step, Protocol):
    """A Step that first looks at the whole view; ``state`` must be picklable and deterministic."""

    def fit(self, view: Iterable[Example]) -> Json:
        """Return what ``apply`` needs to know of the whole."""
        ...
