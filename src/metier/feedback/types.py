"""What collecting, correcting and importing say of themselves, and what an expert is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metier.core.records import Feedback, Interaction
from metier.core.types import Conversation, Json
from metier.queue import Item

CORRECTIONS = "corrections"
"""The queue of served replies that a person looks at."""
SUBJECT = "interaction"
"""What its items are about."""
COMMENT, DEMONSTRATION = "comment", "demonstration"
"""The reserved metrics: a remark, and the reply that would have been right."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a look at the served replies put into the queue (or would: ``dry_run``).

    ``looked_at`` counts replies; ``new`` the items made; ``added_to`` those that waited already
    and took on a reason; ``by_reason`` counts the new items under each of their reasons.
    """

    looked_at: int
    new: int
    added_to: int
    by_reason: Mapping[str, int]
    item_ids: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One item as an expert sees it. ``reply`` is the first choice that was served; ``suggestion``
    the demonstration a user gave, in the task's shape; ``feedback`` what was said of the reply."""

    item: Item
    interaction: Interaction
    conversation: Conversation
    reply: str
    suggestion: Json | None = None
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something that was left out; ``place`` is ``file:line`` or an item's id."""

    place: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of many answers at once. ``unanswered`` rows held neither answer nor reason."""

    corrected: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    unanswered: int = 0
    bad: tuple[BadRow, ...] = field(default=())
    dry_run: bool = False
