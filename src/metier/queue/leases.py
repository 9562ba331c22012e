"""Leases: who holds a place at an item, and places that come back.

Whatever changes an item or a place locks the item first and the audit log last, so that no two
transactions wait for each other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from metier.core.errors import Busy, NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.store.tables import AssignmentRow, QueueItemRow, QueueRow
from metier.queue.types import Assignment, AssignmentState

EVERYONE = 1_000_000
"""``wanted`` of training and gold items, which everybody gets."""
COUNTING = ("work", "duplicate")
"""Roles whose answers are not known before."""
WAITING = ("open", "back")
"""States of an item with a free place. "back" is one whose places were all taken before, or that
came later than the others: people who have gone past it have to look behind themselves."""
_AT_ONCE = 50  # ended leases that one call puts back
_AS_IT_IS = {"populate_existing": True}  # not as this session read it before it had the lock


def lock_assignment(
    session: Session, assignment_id: str, person: str
) -> tuple[QueueRow, QueueItemRow, AssignmentRow]:
    """Lock the item of an assignment, and read both as they are now.

    Raises NotFound unless it is this person's.
    """
    theirs = _theirs(assignment_id, person)
    of_it = select(AssignmentRow.item_id).where(*theirs).scalar_subquery()
    locked = select(QueueItemRow).where(QueueItemRow.id == of_it).with_for_update()
    item = session.scalars(locked, execution_options=_AS_IT_IS).first()
    if item is None:
        raise _not_theirs(assignment_id)
    both = select(QueueRow, AssignmentRow).join(AssignmentRow, AssignmentRow.queue == QueueRow.name)
    queue, row = session.execute(both.where(*theirs), execution_options=_AS_IT_IS).one()
    return queue, item, row


def find_assignment(
    session: Session, assignment_id: str, person: str
) -> tuple[QueueItemRow, AssignmentRow]:
    """An assignment and its item. Raises NotFound unless it is this person's."""
    both = select(QueueItemRow, AssignmentRow).join(
        AssignmentRow, AssignmentRow.item_id == QueueItemRow.id
    )
    found = session.execute(both.where(*_theirs(assignment_id, person))).first()
    if found is None:
        raise _not_theirs(assignment_id)
    item, row = found
    return item, row


def _theirs(assignment_id: str, person: str) -> tuple[ColumnElement[bool], ...]:
    if not assignment_id.isprintable():  # no id has such characters; not every database takes them
        raise _not_theirs(assignment_id)
    return AssignmentRow.id == assignment_id, AssignmentRow.person == person


def _not_theirs(assignment_id: str) -> NotFound:
    return NotFound("the id of one of your assignments", got=repr(assignment_id[:60]))


def lease_new(
    session: Session, queue: QueueRow, item: QueueItemRow, person: str, now: datetime
) -> AssignmentRow:
    """Give a person their place at a locked item that has one free."""
    row = AssignmentRow(
        id=new_id("asg"),
        item_id=item.id,
        queue=queue.name,
        person=person,
        place=free_place(session, item),
        state="leased",
        created_at=now,
        lease_until=now + timedelta(seconds=queue.lease_s),
        comment="",
        flags=[],
        counts=item.role in COUNTING,
    )
    session.add(row)
    _count_in(item)
    session.flush()
    return row


def lease_again(
    session: Session, queue: QueueRow, item: QueueItemRow, row: AssignmentRow, now: datetime
) -> None:
    """Renew a lease; one that was given back is taken again.

    Raises Busy when all places are taken by now.
    """
    if row.state != "leased":
        if item.state not in WAITING or item.taken >= item.wanted:
            raise Busy(
                "an item with a free place",
                got=f"{item.id}: {item.wanted} others have answered it or have it on the screen",
                remedy="take the next item; what you wrote here cannot be handed in any more",
            )
        row.place = free_place(session, item)
        row.state = "leased"
        _count_in(item)
    row.lease_until = now + timedelta(seconds=queue.lease_s)
    session.flush()


def _count_in(item: QueueItemRow) -> None:
    item.taken += 1
    if item.taken >= item.wanted:
        item.state = "leased"


def give_back(
    session: Session, item: QueueItemRow, row: AssignmentRow, state: AssignmentState
) -> None:
    """Free the place that ``row`` holds at a locked item."""
    lowest = session.scalar(
        select(func.min(AssignmentRow.place)).where(AssignmentRow.item_id == item.id)
    )
    row.place = min(lowest or 0, 0) - 1
    row.state, row.lease_until = state, None
    item.taken -= 1
    session.flush()
    mark(session, item)


def put_back_ended(session: Session, queue: str, now: datetime) -> int:
    """Free the places of leases that have ended, but those at items locked just now."""
    ended = (
        AssignmentRow.queue == queue,
        AssignmentRow.state == "leased",
        AssignmentRow.lease_until <= now,
    )
    ids = set(session.scalars(select(AssignmentRow.item_id).where(*ended).limit(_AT_ONCE)))
    if not ids:
        return 0
    query = select(QueueItemRow).where(QueueItemRow.id.in_(ids)).order_by(QueueItemRow.id)
    freed = 0
    for item in session.scalars(query.with_for_update(skip_locked=True)).all():
        rows = select(AssignmentRow).where(AssignmentRow.item_id == item.id, *ended)
        for row in session.scalars(rows).all():
            give_back(session, item, row, "ended")
            freed += 1
    return freed


def free_place(session: Session, item: QueueItemRow) -> int:
    """The lowest place of a locked item that nobody has."""
    if not item.taken:
        return 0
    query = select(AssignmentRow.place).where(
        AssignmentRow.item_id == item.id, AssignmentRow.place >= 0
    )
    used = set(session.scalars(query))
    return next(place for place in range(len(used) + 1) if place not in used)


def mark(session: Session, item: QueueItemRow) -> None:
    """Set the state of a locked item from its places; a settled one is done, and one whose subject
    was erased stays put aside."""
    if item.state == "skipped":
        return
    if item.answered_by is not None:
        item.state = "done"
    elif item.taken < item.wanted:
        item.state = "open" if item.state == "open" else "back"
    else:
        held = select(func.count()).where(
            AssignmentRow.item_id == item.id, AssignmentRow.state == "leased"
        )
        item.state = "leased" if session.scalar(held) else "done"


def assignment_of(row: AssignmentRow) -> Assignment:
    """The record of a row."""
    return record(
        Assignment,
        row,
        state=cast(AssignmentState, row.state),
        draft=None if row.draft is None else row.draft["value"],
        answer=None if row.answer is None else row.answer["value"],
        flags=tuple(row.flags),
    )
