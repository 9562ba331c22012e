"""Forgetting: what people were shown, said and decided of rows that are erased."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from metier.core.ledger.harms import WITHDRAWN
from metier.core.store.tables import (
    AdjudicationRow,
    AssignmentRow,
    GuidelineRow,
    HarmRow,
    QueueItemRow,
    QueueRow,
)
from metier.core.workspace import Workspace
from metier.queue.originals import empty_sealed
from metier.queue.types import EXCHANGE

_PARTS = re.compile("[:~#]")
"""Between the candidates, the example and its turn or repetition in a panel's subject."""


def forget_subject(session: Session, subject_id: str, mark: str) -> int:
    """Empty the items about a subject, and what was said of them; count the items.

    Items name what they are about, alone or within a longer id (a panel's, a duplicate's). Nobody
    is asked about them any more; who answered, and when, stays. ``mark`` takes the place of texts.
    """
    about = QueueItemRow.subject_id.contains(subject_id, autoescape=True)
    near = session.scalars(select(QueueItemRow).where(about).with_for_update())
    items = [one for one in near if subject_id in (one.subject_id, *_PARTS.split(one.subject_id))]
    for item in items:
        item.answer, item.note = None, mark
        if item.shown is not None:
            item.shown = item.expected = None
            item.state = "done" if item.state == "done" else "skipped"
        _forget_said(session, item, mark)
    _forget_examples(session, [one.id for one in items])
    return len(items)


def forget_records(ws: Workspace, subjects: Collection[str]) -> list[str]:
    """Take the records of subjects out of what is kept of other tools' files; return the artifacts
    that no queue names any more."""
    with ws.db.reading() as reading:
        kept = {one for queue in reading.scalars(select(QueueRow)) for one in _records(queue)}
    without = {one: _without(ws, one, subjects) for one in sorted(kept)}
    with ws.db.session() as session:
        for queue in session.scalars(select(QueueRow).with_for_update()):
            named = _records(queue)
            left = [without.get(one, one) for one in named]
            if queue.settings is not None and left != named:
                exchange = queue.settings[EXCHANGE] | {"residues": left}
                queue.settings = queue.settings | {EXCHANGE: exchange}
    return [one for one, other in without.items() if one != other]


def _records(queue: QueueRow) -> list[str]:
    """The artifacts that keep what other tools' records had beyond the queue's items."""
    return list((queue.settings or {}).get(EXCHANGE, {}).get("residues", ()))


def _without(ws: Workspace, artifact: str, subjects: Collection[str]) -> str:
    if not ws.artifacts.exists(artifact):  # an erasure dropped it, since it repeated a value
        return artifact
    lines = ws.artifacts.get_bytes(artifact).splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["id"] not in subjects]
    if len(kept) == len(lines):
        return artifact
    return ws.artifacts.put_bytes(b"".join(kept), "application/jsonl")


def _forget_examples(session: Session, items: Sequence[str]) -> None:
    """Take cases that were decided on these items out of every version of a guideline."""
    if not items:
        return
    for guideline in session.scalars(select(GuidelineRow)):
        kept = [one for one in guideline.examples if one.get("item_id") not in items]
        if len(kept) < len(guideline.examples):
            guideline.examples = kept


def _forget_said(session: Session, item: QueueItemRow, mark: str) -> None:
    sealed = [] if item.sealed_id is None else [item.sealed_id]
    query = select(AssignmentRow).where(AssignmentRow.item_id == item.id)
    for row in session.scalars(query):
        sealed += [] if row.sealed_id is None else [row.sealed_id]
        row.answer = None if row.answer is None else {"value": None}
        row.draft, row.counts = None, False
        row.comment = mark if row.comment else ""
    session.execute(delete(AdjudicationRow).where(AdjudicationRow.item_id == item.id))
    for harm in session.scalars(select(HarmRow).where(HarmRow.item_id == item.id)):
        harm.words = mark
        if harm.resolution not in (None, WITHDRAWN):
            harm.resolution = mark
    empty_sealed(session, sealed)
