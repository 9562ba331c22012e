"""The next item for a person: what they hold, what they learn from, then what waits longest.

    held or left unfinished > training round > hidden duplicate > gold > highest priority, oldest

Nobody gets an item a second time once they answered it or passed it on.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from math import gcd

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from metier.core.audit import VIEW
from metier.core.errors import NotFound
from metier.core.store.tables import AssignmentRow, QueueItemRow, QueueRow
from metier.core.workspace import Workspace
from metier.queue.items import check_worker, item_of, one_at_a_time
from metier.queue.leases import assignment_of, lease_again, lease_new, put_back_ended
from metier.queue.queues import find_queue
from metier.queue.training import state_of
from metier.queue.types import Assignment, Item, ItemRole

_TRIES = 20  # times that the item waited for was full in the end


def take_next(ws: Workspace, queue: str, person: str) -> tuple[Item, Assignment] | None:
    """Lease a person the next item of a queue; None when nothing waits for them.

    The one they hold comes again, its lease renewed. The audit log notes that they saw the item.
    Raises NotFound where they may not work in that queue, InputError for a name that is none.
    """
    check_worker(person)
    now = datetime.now(UTC)
    with ws.db.session() as session:
        one_at_a_time(ws, session, f"{queue}\n{person}")
        row = find_queue(session, queue)
        _refuse_unless_asked(row, person)
        found = _held(session, row, person, now)
        if found is not None:
            return _shown(found, now)
        if row.state != "open":
            return None
        if not put_back_ended(session, queue, now):
            return _take(ws, session, row, person, now)
    # The places that came back are free for all before this person waits for another item.
    with ws.db.session() as session:
        one_at_a_time(ws, session, f"{queue}\n{person}")
        return _take(ws, session, find_queue(session, queue), person, now)


def peek_next(ws: Workspace, queue: str, person: str) -> Item | None:
    """The item that ``take_next`` would most likely lease after the one that is held."""
    now = datetime.now(UTC)
    with ws.db.reading() as session:
        row = find_queue(session, queue)
        if row.state != "open" or (row.people and person not in row.people):
            return None
        item_id = session.scalar(_wanted(session, row, person, now).limit(1))
        return None if item_id is None else item_of(session.get_one(QueueItemRow, item_id), now)


Found = tuple[QueueItemRow, AssignmentRow]


def _refuse_unless_asked(queue: QueueRow, person: str) -> None:
    """Where a queue names its people, there is no such queue for others."""
    if queue.people and person not in queue.people:
        raise NotFound("a queue in which you were asked to work", got=repr(queue.name))


def _held(session: Session, queue: QueueRow, person: str, now: datetime) -> Found | None:
    mine = select(AssignmentRow).where(
        AssignmentRow.queue == queue.name,
        AssignmentRow.person == person,
        AssignmentRow.state == "leased",
    )
    row = session.scalars(mine.order_by(AssignmentRow.id.desc()).limit(1)).first()
    if row is None:
        return None
    item = session.get_one(QueueItemRow, row.item_id, with_for_update=True)
    session.refresh(row)
    if row.state != "leased":  # it ended, and was put back, while this waited for the item
        return None
    lease_again(session, queue, item, row, now)
    return item, row


def _take(
    ws: Workspace, session: Session, queue: QueueRow, person: str, now: datetime
) -> tuple[Item, Assignment] | None:
    found = _left(session, queue, person, now)
    if found is None:
        item = _lock_one(session, _wanted(session, queue, person, now))
        if item is None:
            return None
        found = item, lease_new(session, queue, item, person, now)
    detail = {"queue": queue.name, "assignment": found[1].id}
    ws.audit.append(person, VIEW, found[0].id, detail, session=session)
    return _shown(found, now)


def _shown(found: Found, now: datetime) -> tuple[Item, Assignment]:
    return item_of(found[0], now), assignment_of(found[1])


def _left(session: Session, queue: QueueRow, person: str, now: datetime) -> Found | None:
    """What this person did not finish in time, where a place is still free."""
    mine = select(AssignmentRow).where(
        AssignmentRow.queue == queue.name,
        AssignmentRow.person == person,
        AssignmentRow.state == "ended",
    )
    for row in session.scalars(mine.order_by(AssignmentRow.id)).all():
        open_one = select(QueueItemRow).where(
            QueueItemRow.id == row.item_id, QueueItemRow.state == "open"
        )
        item = session.scalars(open_one.with_for_update(skip_locked=True)).first()
        if item is not None:
            lease_again(session, queue, item, row, now)
            return item, row
    return None


def _lock_one(session: Session, candidates: Select[str]) -> QueueItemRow | None:
    """Lock the first candidate that nobody else has locked, else wait for the first of all."""
    for _ in range(_TRIES):
        item_id = session.scalar(candidates.limit(1).with_for_update(skip_locked=True))
        if item_id is not None:
            return session.get_one(QueueItemRow, item_id, with_for_update=True)
        item_id = session.scalar(candidates.limit(1))
        if item_id is None:
            return None
        item = session.get_one(QueueItemRow, item_id, with_for_update=True)
        if item.state == "open":
            return item
        session.expire(item)
    return None


def _wanted(session: Session, queue: QueueRow, person: str, now: datetime) -> Select[str]:
    """Ids of what this person may be given next, in order."""
    settings = queue.settings or {}
    if not state_of(session, queue, person).passed:
        return _candidates(queue.name, person, "training")
    had = (
        _had_so_far(session, queue.name, person) if settings.keys() & {"gold", "duplicates"} else 0
    )
    if "duplicates" in settings:
        apart = int(settings["duplicates"].get("apart", 0))
        due = _due_duplicates(queue.name, person, had - apart)
        if session.scalar(due.limit(1)) is not None:
            return due
    if _gold_is_due(queue, person, had):
        gold = _candidates(queue.name, person, "gold")
        if session.scalar(gold.limit(1)) is not None:
            return gold
    return _in_own_order(queue, person, _candidates(queue.name, person, "work"))


def _in_own_order(queue: QueueRow, person: str, query: Select[str]) -> Select[str]:
    """With ``settings["order"]`` (a panel's) each person begins with another block of items, and
    goes through a block in another order; the same person always in the same."""
    order = (queue.settings or {}).get("order")
    if not order:
        return query
    block, blocks = max(2, int(order["block"])), max(1, int(order["blocks"]))
    rng = random.Random(f"{queue.name}\n{person}\norder")
    start = rng.randrange(blocks)
    step = rng.choice([one for one in range(1, block) if gcd(one, block) == 1])
    ours = (QueueItemRow.rank // block + start) % blocks
    within = (QueueItemRow.rank % block) * step % block
    return query.order_by(None).order_by(ours, within, QueueItemRow.id)


def _candidates(queue: str, person: str, role: ItemRole) -> Select[str]:
    return (
        select(QueueItemRow.id)
        .where(QueueItemRow.queue == queue, QueueItemRow.role == role)
        .where(QueueItemRow.state == "open", ~_has_had(person))
        .order_by(QueueItemRow.rank, QueueItemRow.id)
    )


def _has_had(person: str) -> ColumnElement[bool]:
    return (
        select(AssignmentRow.id)
        .where(AssignmentRow.item_id == QueueItemRow.id, AssignmentRow.person == person)
        .exists()
    )


def _had_so_far(session: Session, queue: str, person: str) -> int:
    """Items this person has been given in the queue."""
    mine = (AssignmentRow.queue == queue, AssignmentRow.person == person)
    return session.scalar(select(func.count()).where(*mine)) or 0


def _gold_is_due(queue: QueueRow, person: str, had: int) -> bool:
    """Draw by the rate, so that nobody can count when the next gold item comes; the same person
    at the same point always gets the same draw."""
    rate = float(((queue.settings or {}).get("gold") or {}).get("rate", 0.0))
    return rate > 0 and random.Random(f"{queue.name}\n{person}\n{had}").random() < rate


def _due_duplicates(queue: str, person: str, before: int) -> Select[str]:
    """Duplicates of items that this person answered among their first ``before``."""
    first = (
        select(AssignmentRow.item_id, AssignmentRow.state)
        .where(AssignmentRow.queue == queue, AssignmentRow.person == person)
        .order_by(AssignmentRow.id)
        .limit(max(before, 0))
        .subquery()
    )
    twin = aliased(QueueItemRow)
    seen = (
        select(twin.subject_id)
        .join(first, first.c.item_id == twin.id)
        .where(twin.queue == queue, first.c.state == "done")
    )
    return _candidates(queue, person, "duplicate").where(QueueItemRow.twin_of.in_(seen))
