"""The queue of corrections as a desk has it: what may come next, and a person's last decisions.

Each is one small read, however long the queue is.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import or_, select

from metier.core.store.tables import QueueItemRow
from metier.core.workspace import Workspace
from metier.feedback.types import CORRECTIONS
from metier.queue import Item
from metier.queue.items import item_of


def peek_correction(ws: Workspace, after: str) -> Item | None:
    """The item that is likely to come after one; nothing is leased for it."""
    row = QueueItemRow
    query = select(row).where(row.queue == CORRECTIONS, row.state == "open", row.id != after)
    with ws.db.reading() as session:
        found = session.scalars(query.order_by(row.rank, row.id).limit(1)).first()
        return None if found is None else item_of(found, datetime.now(UTC))


def recent_corrections(ws: Workspace, worker: str, limit: int) -> list[Item]:
    """The items a person answered or skipped last, newest first."""
    row = QueueItemRow
    closed = or_(row.state == "done", row.state == "skipped")
    query = select(row).where(row.queue == CORRECTIONS, closed, row.answered_by == worker)
    with ws.db.reading() as session:
        found = session.scalars(query.order_by(row.answered_at.desc()).limit(limit))
        return [item_of(one, datetime.now(UTC)) for one in found]
