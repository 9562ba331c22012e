"""Queues, items, and assignments: who was asked what, and what each of them said.

    queue --< item --< assignment (one person's place at one item)

An item wants ``wanted`` answers of as many different people. Each has a place, numbered from 0; the
database holds (item, place) and (item, person) unique, so that no race gives an item too many
answers, or one person two of them.

    leased -- submit --> done          holds a place
      |  '--- pass_on -> skipped       has given it back
      '- time is over -> ended         has given it back; taken again while one is free
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from metier.core.types import Json

EXCHANGE = "exchange"
"""The key of a queue's settings that says what it was read from."""
QueueKind = Literal["corrections", "suspects", "label", "review"]
QueueState = Literal["draft", "open", "paused", "closed"]
ItemState = Literal["open", "leased", "done", "skipped"]
ItemRole = Literal["work", "training", "gold", "duplicate"]
AssignmentState = Literal["leased", "done", "skipped", "ended"]
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
class NewItem:
    """Something to be looked at: ``subject_id`` names it and comes once per queue; higher
    priorities are handed out first."""

    subject_kind: str
    subject_id: str
    reasons: tuple[str, ...] = ()
    priority: int = 0
    shown: Json | None = None
    role: ItemRole = "work"
    expected: Json | None = None
    """Of training and gold items: {"value": the right answer, "why": "what makes it right"}."""
    wanted: int | None = None
    """Answers of as many people; None: as many as the queue says (training and gold: everyone)."""
    twin_of: str | None = None
    """Of a duplicate: the ``subject_id`` that it repeats."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a queue.

    ``answer`` is what the person said (None until the state is "done"), ``seconds`` the time it
    took them, ``note`` the reason of a skip. A lease that ended is not shown: such an item is open.
    Where several people answer, ``answer`` is the one that holds once it is settled; what each of
    them said is in their assignments, and "leased" means that all ``wanted`` places are taken.
    """

    id: str
    created_at: datetime
    queue: str
    subject_kind: str
    subject_id: str
    reasons: tuple[str, ...]
    priority: int
    state: ItemState
    leased_by: str | None = None
    lease_until: datetime | None = None
    answer: Json | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None
    seconds: float | None = None
    note: str | None = None
    sealed_id: str | None = None
    role: ItemRole = "work"
    shown: Json | None = None
    expected: Json | None = None
    wanted: int = 1
    taken: int = 0
    twin_of: str | None = None


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
    """One person's place at one item, with their draft and answer.

    ``place`` counts from 0; below 0 it was given back (state "skipped" or "ended")."""

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
    """False: the answer to a training or a gold item, which is known already."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a queue is, its training and gold items apart.

    ``answers`` of ``wanted`` are given and ``leased`` are on somebody's screen; ``complete`` items
    have all of theirs; ``settled`` ones have one answer that holds. ``skipped`` counts the times
    that somebody passed an item on; ``people`` the answers of each.
    """

    items: int
    wanted: int
    answers: int
    leased: int
    complete: int
    settled: int
    skipped: int
    people: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingState:
    """How one person does in a queue's training round: ``right`` of ``asked``.

    ``items`` and ``bar`` are what the queue asks: the share ``bar`` (0 to 1) of the last ``items``
    answers right. ``left`` training items have not been asked yet. Where there is no training
    round, ``items`` is 0 and everyone has passed.
    """

    right: int
    asked: int
    passed: bool
    items: int
    bar: float
    left: int


@dataclass(frozen=True, slots=True)
class GoldScore:
    """How many of the gold items that one person answered were right, with the interval of Wilson
    for that share (95%)."""

    person: str
    right: int
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Told:
    """What a person is told of a training answer: ``why`` explains the ``expected`` one."""

    item_id: str
    right: bool
    expected: Json
    why: str
