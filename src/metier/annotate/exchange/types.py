"""What is exchanged with other tools: a queue's items with everything that was said of each.

A tool's record becomes an ``Exchanged`` item and back. Two promises hold, and are tested:

    metier -> tool -> metier    nothing is lost: what the tool has no place for travels in a block
                                of metier's own (``carried``)
    tool -> metier -> tool      the same JSON comes back: keys that metier does not know, and
                                spellings that are not its own, are kept (``residue``)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from metier.core.codec import to_json
from metier.core.types import Json
from metier.queue.forms import Form
from metier.queue.types import ItemRole, QueueKind

State = Literal["done", "draft", "skipped"]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person said of one item. ``value`` of state "draft" is the draft.

    ``comment`` of a skipped one is why. ``kept`` is what a tool's record had beyond this.
    """

    person: str
    state: State = "done"
    value: Json = None
    created_at: datetime | None = None
    answered_at: datetime | None = None
    seconds: float | None = None
    comment: str = ""
    flags: tuple[str, ...] = ()
    guideline_number: int | None = None
    counts: bool = True
    kept: Json = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a model suggested; ``score`` is its own measure of how sure it was."""

    value: Json
    agent: str | None = None
    score: float | None = None
    kept: Json = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One item. ``shown`` is what was on the screen (see ``queue_items.shown``), ``settled`` the
    answer that holds. ``kept`` is what a tool's record had beyond this."""

    id: str
    shown: Json
    answers: tuple[Answer, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    role: ItemRole = "work"
    priority: int = 0
    reasons: tuple[str, ...] = ()
    settled: Json = None
    place: str = field(default="", compare=False)
    kept: Json = field(default=None, compare=False)


def told(item: Exchanged) -> Json:
    """An item as JSON, without what is kept of a tool's record: to compare what is known of it."""
    found = to_json(item)
    for one in (found, *found["answers"], *found["suggestions"]):
        one.pop("kept")
    found.pop("place")
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of each item. ``wiring`` says of a question (by its field's name) how the tool
    spells it: {"name": its own name, "type": its kind, "to_name": what it is about}."""

    form: Form
    kind: QueueKind = "label"
    wiring: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record, or an answer in it, that was not taken over; ``place`` is file:line or the
    record's id."""

    place: str
    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """A queue as it is exchanged. ``refused``: what of a file could not be used."""

    asked: Asked
    items: tuple[Exchanged, ...]
    refused: tuple[Refused, ...] = ()
    guideline: str = ""
