"""Where the project stands, in one line on top of every page, for those whose business it is.

Whoever only annotates or reviews, and a guest, sees nothing: the names of releases may tell whose
replies they rate, and what waits for others is not theirs to know.
"""

from __future__ import annotations

from metier.core import ledger
from metier.journey.session import Session
from metier.people import Person
from metier.queue.items import count_items
from metier.registry.releases import aliases

QUEUE = "corrections"


def stand_line(session: Session, person: Person | None) -> str:
    """Return cycle, releases in use and what waits, e.g. ``cycle 2 done · champion v1``.

    Empty for those who may not look; what waits for people is told to those who may answer it.
    """
    if person is None or not person.may("look"):
        return ""
    ws = session.workspace
    cycles, named = ledger.list_cycles(ws), aliases(ws)
    parts = []
    if cycles:
        newest = cycles[-1]
        parts.append(f"cycle {newest.number} {'done' if newest.finished_at else 'under way'}")
    for alias, release in named.items():
        if alias != "previous":
            parts.append(f"{alias} {release.name}")
    waiting = waiting_items(session) if person.may("annotate") else 0
    if waiting:
        parts.append(f"{waiting:,} {'reply waits' if waiting == 1 else 'replies wait'} for people")
    return " · ".join(parts) or "nothing released yet"


def waiting_items(session: Session) -> int:
    """Return how many items of the queue nobody has answered."""
    counts = count_items(session.workspace, QUEUE)
    return counts.get("open", 0) + counts.get("leased", 0)
