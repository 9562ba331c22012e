"""Forgetting: what people were shown and said of rows that are erased."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from metier.core.store.tables import (
    AdjudicationRow,
    AssignmentRow,
    HarmRow,
    QueueItemRow,
)
from metier.queue.originals import empty_sealed


def forget_subject(session: Session, subject_id: str, mark: str) -> int:
    """Empty the items about a subject, and what was said of them; count the items.

    Items name what they are about, alone or within a longer id (a panel's, a duplicate's). Nobody
    is asked about them any more; who answered, and when, stays. ``mark`` takes the place of texts.
    """
    about = QueueItemRow.subject_id.contains(subject_id, autoescape=True)
    items = session.scalars(select(QueueItemRow).where(about).with_for_update()).all()
    for item in items:
        item.answer, item.note = None, mark
        if item.shown is not None:
            item.shown = item.expected = None
            item.state = "done" if item.state == "done" else "skipped"
        _forget_said(session, item, mark)
    return len(items)


def _forget_said(session: Session, item: QueueItemRow, mark: str) -> None:
    sealed = [] if item.sealed_id is None else [item.sealed_id]
    query = select(AssignmentRow).where(AssignmentRow.item_id == item.id)
    for row in session.scalars(query):
        sealed += [] if row.sealed_id is None else [row.sealed_id]
        row.answer = None if row.answer is None else {"value": None}
        row.draft, row.counts = None, False
        row.comment = mark if row.comment else ""
    session.execute(delete(AdjudicationRow).where(AdjudicationRow.item_id == item.id))
    session.execute(update(HarmRow).where(HarmRow.item_id == item.id).values(words=mark))
    empty_sealed(session, sealed)
