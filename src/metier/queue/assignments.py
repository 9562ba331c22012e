"""Assignments: drafts, answers, and passing an item on, each by the person whose place it is.

Nothing here can be done with another person's assignment: to them it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from metier.core.codec import dumps
from metier.core.errors import Busy, InputError
from metier.core.store.tables import (
    AdjudicationRow,
    AssignmentRow,
    QueueItemRow,
    QueueRow,
)
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.clear import clear_text
from metier.queue.items import check_seconds, item_of, storable, writing
from metier.queue.leases import (
    assignment_of,
    find_assignment,
    give_back,
    lease_again,
    lock_assignment,
    mark,
)
from metier.queue.originals import keep_original
from metier.queue.queues import find_queue
from metier.queue.types import Assignment, Given, Item

EDITABLE = 10
"""A person's last decisions in a queue, which they may change."""
COMMENT_CHARACTERS = 10_000
_NO_ANSWER = ("cannot_tell", "not_my_field")
_AT_ONCE = 500  # rows that one read of the answers takes


def get_assignment(ws: Workspace, assignment_id: str, person: str) -> tuple[Item, Assignment]:
    """Find a person's assignment and its item. Raises NotFound unless it is theirs."""
    with ws.db.reading() as session:
        item, row = find_assignment(session, assignment_id, person)
        return item_of(item, datetime.now(UTC)), assignment_of(row)


def keep_draft(ws: Workspace, assignment_id: str, person: str, draft: Json) -> Assignment:
    """Keep what a person has entered so far, and renew their lease.

    Raises:
        NotFound: it is not theirs.
        Busy: it is answered, or the lease ended and others have all places by now.
    """
    now = datetime.now(UTC)
    with ws.db.session() as session:
        queue, item, row = lock_assignment(session, assignment_id, person)
        if row.state in ("done", "skipped"):
            raise Busy("an item that waits for your answer", got=f"one that is {row.state}")
        lease_again(session, queue, item, row, now)
        row.draft = {"value": draft}
        return assignment_of(row)


def submit(
    ws: Workspace,
    assignment_id: str,
    person: str,
    given: Given,
    original: Json = None,
    *,
    session: Session | None = None,
) -> Assignment:
    """Store what a person says of an item; audited.

    The same again changes nothing; something else takes its place while it is one of their last
    ten decisions. The comment is cleared of identifiers here, the value by the caller: then
    ``original`` is the value as it was typed. What was taken out is sealed.

    Raises:
        NotFound: the assignment is not theirs.
        InputError: nothing is said, or the seconds are no duration.
        Busy: the queue is closed, the answer may not be changed any more, or the lease ended and
            others have all places by now.
    """
    _check(given)
    now = datetime.now(UTC)
    with writing(ws, session) as own:
        queue, item, row = lock_assignment(own, assignment_id, person)
        if row.state == "done" and _same(row, given):
            return assignment_of(row)
        _refuse_if_closed(queue)
        before = _hash(ws, row.answer)
        if row.state in ("done", "skipped"):
            _refuse_unless_editable(own, item, row)
            _unsettle(own, item)
        if row.state in ("ended", "skipped"):
            lease_again(own, queue, item, row, now)
        action = "queue.change" if row.answered_at is not None else "queue.answer"
        _store(row, given, now)
        typed = given.value if original is None else original
        keep_original(ws, own, row, typed, storable(given.comment))
        own.flush()
        mark(own, item)
        detail = {"queue": queue.name, "item": item.id, "after": _hash(ws, row.answer)}
        changed = {"before": before} if action == "queue.change" else {}
        ws.audit.append(person, action, row.id, detail | changed, session=own)
        return assignment_of(row)


def pass_on(ws: Workspace, assignment_id: str, person: str, reason: str) -> Assignment:
    """Give an item back for ``reason``, kept without identifiers; this person gets another.

    Raises NotFound unless the assignment is theirs, InputError without a reason, Busy once it is
    answered. What was passed on already stays so.
    """
    if not reason.strip():
        raise InputError("a reason why the item is passed on", got="none", remedy="say it in words")
    now = datetime.now(UTC)
    with ws.db.session() as session:
        queue, item, row = lock_assignment(session, assignment_id, person)
        if row.state == "skipped":
            return assignment_of(row)
        if row.state == "done":
            raise Busy("an item without your answer", got="one you answered; change that instead")
        if row.state == "leased":
            give_back(session, item, row, "skipped")
        row.state, row.draft, row.answered_at = "skipped", None, now
        row.comment = clear_text(storable(reason))[:COMMENT_CHARACTERS]
        keep_original(ws, session, row, None, storable(reason)[:COMMENT_CHARACTERS])
        detail = {"queue": queue.name, "item": item.id}
        ws.audit.append(person, "queue.pass_on", row.id, detail, session=session)
        return assignment_of(row)


def recent(
    ws: Workspace, queue: str, person: str, limit: int = EDITABLE
) -> list[tuple[Item, Assignment]]:
    """A person's last decisions in a queue, the newest first. Raises NotFound."""
    now = datetime.now(UTC)
    with ws.db.reading() as session:
        found = _last(session, queue, person, limit)
        if not found:
            find_queue(session, queue)
        return [(item_of(item, now), assignment_of(row)) for item, row in found]


def iter_answers(
    ws: Workspace, queue: str, *, counting: bool = True
) -> Iterator[tuple[Item, Assignment]]:
    """What people said, streamed in the order of the items and, of one item, of its places.

    ``counting``: without training and gold items, whose answers are known.
    Raises NotFound for a queue that is not there.
    """
    with ws.db.reading() as session:
        find_queue(session, queue)
    after = ""
    while True:
        with ws.db.reading() as session:
            page = _page(session, queue, counting, after)
        yield from page
        if not page:
            return
        after = page[-1][0].id


def _page(
    session: Session, queue: str, counting: bool, after: str
) -> list[tuple[Item, Assignment]]:
    """The answers of the next items after one, all answers of each."""
    now = datetime.now(UTC)
    said = and_(AssignmentRow.item_id == QueueItemRow.id, AssignmentRow.state == "done")
    if counting:
        said = and_(said, AssignmentRow.counts)
    some = select(QueueItemRow.id).where(QueueItemRow.queue == queue, QueueItemRow.id > after)
    some = some.where(select(AssignmentRow.id).where(said).exists())
    ids = session.scalars(some.order_by(QueueItemRow.id).limit(_AT_ONCE)).all()
    query = (
        select(QueueItemRow, AssignmentRow)
        .join(AssignmentRow, said)
        .where(QueueItemRow.id.in_(ids))
        .order_by(QueueItemRow.id, AssignmentRow.place)
    )
    return [(item_of(item, now), assignment_of(row)) for item, row in session.execute(query)]


def _last(
    session: Session, queue: str, person: str, limit: int
) -> list[tuple[QueueItemRow, AssignmentRow]]:
    found: list[tuple[QueueItemRow, AssignmentRow]] = []
    both = select(QueueItemRow, AssignmentRow).join(
        AssignmentRow, AssignmentRow.item_id == QueueItemRow.id
    )
    for state in ("done", "skipped"):  # one by one, so that the index gives the order
        query = both.where(
            AssignmentRow.queue == queue,
            AssignmentRow.person == person,
            AssignmentRow.state == state,
        )
        query = query.order_by(AssignmentRow.answered_at.desc()).limit(limit)
        found += [(item, row) for item, row in session.execute(query)]
    return sorted(found, key=_decided, reverse=True)[:limit]


def _decided(found: tuple[QueueItemRow, AssignmentRow]) -> tuple[datetime, str]:
    row = found[1]
    return row.answered_at or row.created_at, row.id


def _check(given: Given) -> None:
    check_seconds(given.seconds)
    if given.value is None and not set(given.flags) & set(_NO_ANSWER):
        raise InputError(
            "an answer", got="none", remedy='give one, or say "can\'t tell" or "not my field"'
        )
    if len(given.comment) > COMMENT_CHARACTERS:
        raise InputError(
            f"a comment of at most {COMMENT_CHARACTERS} characters", got=str(len(given.comment))
        )


def _same(row: AssignmentRow, given: Given) -> bool:
    return (
        dumps(row.answer) == dumps({"value": given.value})
        and row.comment == _cleared(given.comment)
        and row.flags == sorted(set(given.flags))
    )


def _cleared(comment: str) -> str:
    return clear_text(storable(comment)) if comment else ""


def _store(row: AssignmentRow, given: Given, now: datetime) -> None:
    row.state, row.lease_until, row.draft = "done", None, None
    row.answer = {"value": given.value}
    row.answered_at = row.answered_at or now  # a change keeps its place among the last decisions
    row.seconds = given.seconds
    row.comment = _cleared(given.comment)
    row.flags = sorted(set(given.flags))
    row.guideline_number = given.guideline_number


def _hash(ws: Workspace, boxed: Json) -> str | None:
    """Keyed hash of an answer: tells answers apart, and reveals none."""
    return None if boxed is None else ws.sealed.group_hash(dumps(boxed))


def _refuse_if_closed(queue: QueueRow) -> None:
    if queue.state == "closed":
        raise Busy("a queue that takes answers", got=f"{queue.name}, which is closed")


def _refuse_unless_editable(session: Session, item: QueueItemRow, row: AssignmentRow) -> None:
    if item.role == "training" and row.state == "done":
        raise Busy("an answer that may be changed", got="one of the training round")
    if row.id not in [one.id for _, one in _last(session, row.queue, row.person, EDITABLE)]:
        raise Busy(
            f"one of your last {EDITABLE} decisions",
            got="an older one",
            remedy="ask whoever made the queue to adjudicate the item",
        )


def _unsettle(session: Session, item: QueueItemRow) -> None:
    """Take back what was settled by counting; what a person decided stays, and so do answers."""
    if item.answered_by is None:
        return
    settled = session.get(AdjudicationRow, item.id)
    if settled is not None and settled.method == "person":
        raise Busy("an item that waits for a decision", got="one that was adjudicated")
    if settled is not None:
        session.delete(settled)
    item.answer = item.answered_by = item.answered_at = None
