"""Originals: what people typed, before identifiers were taken out of it.

They are sealed under the name of the item, in one shape whatever the queue is; where nothing was
taken out nothing is sealed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import update
from sqlalchemy.orm import Session

from metier.core.codec import dumps
from metier.core.store.tables import AssignmentRow, SealedRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.clear import clear_text

PANEL_TEXTS = ("better", "harm")
"""What people type in an answer to a panel."""


def clear_panel_answer(value: Mapping[str, Json]) -> dict[str, Json]:
    """An answer to a panel without identifiers in what was typed."""
    return {
        name: clear_text(said) if name in PANEL_TEXTS and isinstance(said, str) else said
        for name, said in value.items()
    }


def keep_original(
    ws: Workspace, session: Session, row: AssignmentRow, value: Json, comment: str
) -> None:
    """Seal ``value`` and ``comment`` as they were typed, if the assignment holds others; what was
    sealed of an earlier answer goes."""
    if row.sealed_id is not None:
        empty_sealed(session, [row.sealed_id])
        row.sealed_id = None
    stored = (row.answer or row.draft or {}).get("value")
    if dumps([value, comment]) != dumps([stored, row.comment]):
        typed = dumps({"value": value, "comment": comment}).encode()
        row.sealed_id = ws.sealed.seal(row.item_id, typed, session=session)


def empty_sealed(session: Session, ids: Sequence[str]) -> None:
    """Destroy sealed values whose group stays: an item's, not the erased person's."""
    session.execute(update(SealedRow).where(SealedRow.id.in_(ids)).values(box=None))
