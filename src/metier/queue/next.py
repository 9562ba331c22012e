"""The next item for a person: what they hold, what they learn from, then what waits longest.

    held or left unfinished > training round > hidden duplicate > gold > highest priority, oldest

Nobody gets an item a second time once they answered it or passed it on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from math import gcd

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from metier.core.audit import VIEW
from metier.core.errors import NotFound
from metier.core.store.tables import AssignmentRow, QueueItemRow, QueueRow
from metier.core.workspace import Workspace
from metier.queue.items import check_worker, item_of, one_at_a_time
from metier.queue.leases import WAITING, assignment_of, lease_again, lease_new, put_back_ended
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
        begun = _begun(session, row, person)
        found = _held(session, row, begun, now)
        if found is not None:
            return _shown(found, now)
        if row.state != "open":
            return None
        if not put_back_ended(session, queue, now):
            return _take(ws, session, row, person, begun, now)
    # The places that came back are free for all before this person waits for another item.
    with ws.db.session() as session:
        one_at_a_time(ws, session, f"{queue}\n{person}")
        row = find_queue(session, queue)
        return _take(ws, session, row, person, _begun(session, row, person), now)


def peek_next(ws: Workspace, queue: str, person: str) -> Item | None:
    """The item that ``take_next`` would most likely lease after the one that is held."""
    now = datetime.now(UTC)
    with ws.db.reading() as session:
        row = find_queue(session, queue)
        if row.state != "open" or (row.people and person not in row.people):
            return None
        item_id = _first(session, _wanted(session, row, person))
        return None if item_id is None else item_of(session.get_one(QueueItemRow, item_id), now)


Found = tuple[QueueItemRow, AssignmentRow]
Candidates = Select[str]
Position = tuple[int, str]


def _refuse_unless_asked(queue: QueueRow, person: str) -> None:
    """Where a queue names its people, there is no such queue for others."""
    if queue.people and person not in queue.people:
        raise NotFound("a queue in which you were asked to work", got=repr(queue.name))


def _begun(session: Session, queue: QueueRow, person: str) -> Sequence[AssignmentRow]:
    """What a person holds and what they did not finish in time, the oldest first."""
    mine = select(AssignmentRow).where(
        AssignmentRow.queue == queue.name,
        AssignmentRow.person == person,
        AssignmentRow.state.in_(("leased", "ended")),
    )
    return session.scalars(mine.order_by(AssignmentRow.id)).all()


def _held(
    session: Session, queue: QueueRow, begun: Sequence[AssignmentRow], now: datetime
) -> Found | None:
    row = next((one for one in reversed(begun) if one.state == "leased"), None)
    if row is None:
        return None
    item = session.get_one(QueueItemRow, row.item_id, with_for_update=True)
    session.refresh(row)
    if row.state != "leased":  # it ended, and was put back, while this waited for the item
        return None
    lease_again(session, queue, item, row, now)
    return item, row


def _take(
    ws: Workspace,
    session: Session,
    queue: QueueRow,
    person: str,
    begun: Sequence[AssignmentRow],
    now: datetime,
) -> tuple[Item, Assignment] | None:
    found = _left(session, queue, begun, now)
    if found is None:
        item = _lock_first(session, _wanted(session, queue, person))
        if item is None:
            return None
        found = item, lease_new(session, queue, item, person, now)
    detail = {"queue": queue.name, "assignment": found[1].id}
    ws.audit.append(person, VIEW, found[0].id, detail, session=session)
    return _shown(found, now)


def _shown(found: Found, now: datetime) -> tuple[Item, Assignment]:
    return item_of(found[0], now), assignment_of(found[1])


def _left(
    session: Session, queue: QueueRow, begun: Sequence[AssignmentRow], now: datetime
) -> Found | None:
    """What this person did not finish in time, where a place is still free."""
    for row in begun:
        if row.state != "ended":
            continue
        open_one = select(QueueItemRow).where(
            QueueItemRow.id == row.item_id, QueueItemRow.state.in_(WAITING)
        )
        item = session.scalars(open_one.with_for_update(skip_locked=True)).first()
        if item is not None:
            lease_again(session, queue, item, row, now)
            return item, row
    return None


def _lock_first(session: Session, ways: Sequence[Candidates]) -> QueueItemRow | None:
    """Lock the first candidate that nobody else has locked, else wait for the first of all."""
    for candidates in ways:
        first = candidates.with_only_columns(QueueItemRow).limit(1)
        found = session.scalars(first.with_for_update(skip_locked=True)).first()
        if found is not None:
            return found
    for _ in range(_TRIES):
        item_id = _first(session, ways)
        if item_id is None:
            return None
        item = session.get_one(QueueItemRow, item_id, with_for_update=True)
        if item.state in WAITING:
            return item
        session.expire(item)
    return None


def _first(session: Session, ways: Sequence[Candidates]) -> str | None:
    found = (session.scalar(candidates.limit(1)) for candidates in ways)
    return next((item_id for item_id in found if item_id is not None), None)


def _wanted(session: Session, queue: QueueRow, person: str) -> list[Candidates]:
    """Ids of what this person may be given next, in the order of the ways."""
    settings = queue.settings or {}
    if not state_of(session, queue, person).passed:
        return [_candidates(queue.name, person, "training")]
    mixed = settings.keys() & {"gold", "duplicates"}
    had = _had_so_far(session, queue.name, person) if mixed else 0
    ways, last = [], []
    if "duplicates" in settings:
        apart = int(settings["duplicates"].get("apart", 0))
        ways.append(_due_duplicates(queue.name, person, had - apart))
        last.append(_due_duplicates(queue.name, person, had))  # sooner, where nothing else is left
    if _gold_is_due(queue, person, had):
        ways.append(_candidates(queue.name, person, "gold"))
    return [*ways, *_work(session, queue, person), *last]


def _work(session: Session, queue: QueueRow, person: str) -> list[Candidates]:
    """Ways to the next item of work: first from where this person is, then from the beginning.

    Whoever is ahead of the others has had all that is open behind them, however much that is; so
    only what came back is looked for there.
    """
    if "order" in (queue.settings or {}):
        return [_in_own_order(queue, person, _candidates(queue.name, person, "work"))]
    from_the_start = _candidates(queue.name, person, "work", ("open",))
    here = _position(session, queue.name, person)
    ahead = from_the_start
    if here is not None:
        ahead = ahead.where(tuple_(QueueItemRow.rank, QueueItemRow.id) > tuple_(*here))
    came_back = _candidates(queue.name, person, "work", ("back",))
    ways = [came_back, ahead]
    if _place(session, ahead) < _place(session, came_back):
        ways.reverse()
    return ways if here is None else [*ways, from_the_start]


def _place(session: Session, candidates: Candidates) -> tuple[float, str]:
    """Where in the order the first of them is; past the end where there is none."""
    query = candidates.with_only_columns(QueueItemRow.rank, QueueItemRow.id).limit(1)
    found = session.execute(query).first()
    return (float("inf"), "") if found is None else (found[0], found[1])


def _position(session: Session, queue: str, person: str) -> Position | None:
    """Where in the order of the work a person was last."""
    last = (
        select(QueueItemRow.rank, QueueItemRow.id)
        .join(AssignmentRow, AssignmentRow.item_id == QueueItemRow.id)
        .where(AssignmentRow.queue == queue, AssignmentRow.person == person)
        .where(AssignmentRow.state == "done", QueueItemRow.role == "work")
        .order_by(AssignmentRow.answered_at.desc())
        .limit(1)
    )
    found = session.execute(last).first()
    return None if found is None else (found[0], found[1])


def _in_own_order(queue: QueueRow, person: str, query: Candidates) -> Candidates:
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


def _candidates(
    queue: str, person: str, role: ItemRole, states: Sequence[str] = WAITING
) -> Candidates:
    return (
        select(QueueItemRow.id)
        .where(QueueItemRow.queue == queue, QueueItemRow.role == role)
        .where(QueueItemRow.state.in_(states), ~_has_had(person))
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


def _due_duplicates(queue: str, person: str, before: int) -> Candidates:
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
