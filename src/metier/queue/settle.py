"""Settling: the one answer that holds for an item, and who may see the answers behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.core.codec import dumps
from metier.core.errors import InputError, NotFound
from metier.core.store.tables import AdjudicationRow, AssignmentRow, QueueItemRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.clear import clear_text
from metier.queue.items import item_of, storable, writing
from metier.queue.next import peek_next
from metier.queue.queues import find_queue
from metier.queue.types import Item

SettleMethod = Literal["agreed", "person", "dawid_skene", "majority"]


def settle(
    ws: Workspace,
    item_id: str,
    answer: Json,
    by: str,
    method: SettleMethod,
    reason: str,
    *,
    session: Session | None = None,
) -> Item:
    """Store the answer that holds for an item; nobody is asked about it any more. Audited.

    The same again changes nothing; another one takes its place. ``reason`` is kept without
    identifiers. Raises NotFound, and InputError for no answer or a method that is none.
    """
    if answer is None or method not in get_args(SettleMethod):
        raise InputError(
            f"an answer, and one of {', '.join(get_args(SettleMethod))}", got=f"{method}"
        )
    now, boxed = datetime.now(UTC), {"value": answer}
    with writing(ws, session) as own:
        item = _item(own, item_id)
        row = own.get(AdjudicationRow, item_id)
        before = None if row is None else row.answer
        if row is None:
            row = AdjudicationRow(item_id=item_id, queue=item.queue, created_at=now)
            own.add(row)
        elif (dumps(row.answer), row.method) == (dumps(boxed), method):
            return item_of(item, now)
        row.created_at, row.created_by, row.method = now, by, method
        row.answer, row.reason = boxed, clear_text(storable(reason))
        item.answer, item.answered_by, item.answered_at = boxed, by, now
        item.state = "done"
        detail = {
            "queue": item.queue,
            "method": method,
            "before": None if before is None else ws.sealed.group_hash(dumps(before)),
            "after": ws.sealed.group_hash(dumps(boxed)),
        }
        ws.audit.append(by, "queue.settle", item_id, detail, session=own)
        return item_of(item, now)


def may_see_answers(ws: Workspace, queue: str, person: str) -> bool:
    """Whether what others said may be shown to a person whose role allows it.

    In a blind queue: once it is closed, once this person has nothing left to answer there, or when
    they do not answer in it at all. Raises NotFound.
    """
    with ws.db.reading() as session:
        row = find_queue(session, queue)
        if not row.blind or row.state == "closed":
            return True
        mine = (AssignmentRow.queue == queue, AssignmentRow.person == person)
        works = session.scalar(select(AssignmentRow.id).where(*mine).limit(1)) is not None
        held = select(AssignmentRow.id).where(*mine, AssignmentRow.state == "leased").limit(1)
        holds = session.scalar(held) is not None
    if not works and person not in row.people:
        return True
    return not holds and peek_next(ws, queue, person) is None


def _item(session: Session, item_id: str) -> QueueItemRow:
    known = item_id.isprintable()
    item = session.get(QueueItemRow, item_id, with_for_update=True) if known else None
    if item is None:
        raise NotFound("the id of an item of a queue", got=repr(item_id[:60]))
    return item
