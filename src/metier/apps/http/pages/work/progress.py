"""How far a queue is: counted now and then, as it takes long in a long queue."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from metier.apps.http.pages.frame import Row, Site
from metier.feedback.types import CORRECTIONS
from metier.journey import desk as work_desk
from metier.queue import Counts

COUNTED_S, COUNTING_SHARE = 5, 0.01
"""The counts of a queue are shown as they were for 5 s, and longer where counting takes more than
1% of the time."""


@dataclass(frozen=True)
class Counted:
    """The counts of a queue, when they were begun, and until when they are shown (monotonic
    seconds)."""

    counts: Counts
    begun: datetime
    until: float


@dataclass
class Held:
    """What was counted last, and whose turn it is to count again."""

    last: Counted | None = None
    turn: Lock = field(default_factory=Lock)


def progress_row(site: Site, queue: str, person: str, *, fresh: bool = False) -> Row:
    """How far the queue is, and how much of it this person gave."""
    last = count(site, queue) if fresh else counted(site, queue)
    counts = last.counts
    mine = counts.people.get(person, 0)
    mine += work_desk.done_since(site.session, queue, person, last.begun)
    return {"answers": max(counts.answers, mine), "wanted": counts.wanted, "mine": mine,
            "items": counts.items, "skipped": counts.skipped}  # fmt: skip


def counted(site: Site, queue: str) -> Counted:
    """The counts of a queue; one request at a time counts again, the others show what was."""
    if queue == CORRECTIONS:
        return count(site, queue)
    held = site.keep(("counts", queue), Held)
    last = held.last
    if last is not None and time.monotonic() < last.until:
        return last
    if held.turn.acquire(blocking=last is None):
        try:
            if held.last is last:  # nobody else counted while this waited
                held.last = count(site, queue)
        finally:
            held.turn.release()
    assert held.last is not None
    return held.last


def count(site: Site, queue: str) -> Counted:
    """Count, which takes long in a long queue."""
    began, begun = time.monotonic(), datetime.now(UTC)
    counts = work_desk.counts_of(site.session, queue)
    now = time.monotonic()
    return Counted(counts, begun, now + max(COUNTED_S, (now - began) / COUNTING_SHARE))
