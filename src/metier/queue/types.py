"""Queues, items, and assignments: who was asked what, and what each of them said.

    queue --< item --< assignment (one person's place at one item)

An item wants ``wanted`` answers of as many different people. Each has a place, numbered from 0; the
database holds (item, place) and (item, person) unique, so that no race gives an item too many
answers, or one person two of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from metier.core.types import Json

QueueKind = Literal["corrections", "suspects", "label", "review"]
QueueState = Literal["draft", "open", "paused", "closed"]
ItemRole = Literal["work", "training", "gold", "duplicate"]
AssignmentState = Literal["leased", "done", "skipped"]
Flag = Literal["cannot_tell", "flagged", "not_my_field", "harm"]


@dataclass(frozen=True, slots=True)
class NewQueue:
    """A queue as it is made. ``wanted`` answers per item; ``people`` empty: all whose role allows.

    ``form`` is ``metier.queue.forms.Form`` as JSON; ``selection`` says how the items were chosen;
    ``settings`` is the kind's own (a panel's design, a training round's bar).
    """

    name: str
    kind: QueueKind
    title: str = ""
    wanted: int = 1
    blind: bool = True
    suggest: bool = False
    lease_s: float = 600.0
    version_id: str | None = None
    guideline: str | None = None
    form: Json = None
    selection: Json = None
    settings: Json = None
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue(NewQueue):
    """A queue as it is stored."""

    created_at: datetime = datetime.min
    created_by: str = ""
    state: QueueState = "open"


@dataclass(frozen=True, slots=True)
class Given:
    """What one person says of one item. ``value`` None goes with the flag cannot_tell or
    not_my_field only."""

    value: Json
    seconds: float | None = None
    comment: str = ""
    flags: tuple[Flag, ...] = ()
    guideline_number: int | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """One person's place at one item, with their draft and answer."""

    id: str
    item_id: str
    queue: str
    person: str
    place: int
    state: AssignmentState
    created_at: datetime
    lease_until: datetime | None = None
    draft: Json | None = None
    answer: Json | None = None
    answered_at: datetime | None = None
    seconds: float | None = None
    comment: str = ""
    flags: tuple[Flag, ...] = ()
    guideline_number: int | None = None
    counts: bool = True
    """False: given in a training round, before this person's answers count."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a queue is. ``answers`` of ``wanted`` are given; ``complete`` items have all of
    theirs; ``settled`` ones have one answer that holds."""

    items: int
    wanted: int
    answers: int
    leased: int
    complete: int
    settled: int
    skipped: int
    people: dict[str, int] = field(default_factory=dict)
