"""How much of a panel is left for one person, and about how long it takes them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from metier.core.store.tables import AssignmentRow, QueueItemRow
from metier.core.workspace import Workspace
from metier.queue.types import Queue
from metier.review.panel import panel_of
from metier.review.results import median_seconds

RECENT = 50
"""Times that the estimate goes by: people become faster."""


@dataclass(frozen=True, slots=True)
class Left:
    """``done`` and ``left`` count items; ``seconds`` is the median time times what is left."""

    done: int
    left: int
    per_item_s: float

    @property
    def seconds(self) -> float:
        """What is left, in seconds."""
        return self.left * self.per_item_s


def left_for(ws: Workspace, queue: Queue, person: str) -> Left:
    """Count for one person; hidden duplicates are counted as they come, so that nobody can tell
    them by the number."""
    mine = (AssignmentRow.queue == queue.name, AssignmentRow.person == person)
    had = select(AssignmentRow.id).where(AssignmentRow.item_id == QueueItemRow.id, *mine).exists()
    open_ones = select(func.count()).where(
        QueueItemRow.queue == queue.name,
        QueueItemRow.role == "work",
        QueueItemRow.state == "open",
        ~had,
    )
    held = select(func.count()).where(*mine, AssignmentRow.state.in_(("leased", "ended")))
    done = select(func.count()).where(*mine, AssignmentRow.state == "done")
    newest = AssignmentRow.answered_at.desc()
    times = select(AssignmentRow.seconds).where(*mine, AssignmentRow.state == "done")
    with ws.db.reading() as session:
        left = (session.scalar(open_ones) or 0) + (session.scalar(held) or 0)
        typical = median_seconds(session.scalars(times.order_by(newest).limit(RECENT)))
        finished = session.scalar(done) or 0
    return Left(finished, left, typical or panel_of(queue).seconds_per_item)
