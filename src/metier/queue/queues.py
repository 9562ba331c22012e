"""Queues: made with their items in one transaction, found, changed, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metier.core.errors import InputError, NotFound, nearest
from metier.core.ledger.find import record
from metier.core.store.tables import AdjudicationRow, AssignmentRow, QueueItemRow, QueueRow
from metier.core.workspace import Workspace
from metier.queue.items import new_row, storable
from metier.queue.leases import COUNTING, EVERYONE
from metier.queue.types import Counts, NewItem, NewQueue, Queue, QueueKind, QueueState

NAME_CHARACTERS = 100
WANTED_MOST = 1000
APART = 20
"""Decisions between an item and its hidden duplicate, for one person; fewer in a short queue."""
_CHANGEABLE = ("state", "title", "people", "settings", "lease_s", "suggest", "blind", "guideline")


def make_queue(ws: Workspace, new: NewQueue, items: Iterable[NewItem], actor: str) -> Queue:
    """Make a queue with its items, in one transaction; audited.

    Raises InputError for a name that is in use, and for numbers out of their ranges.
    """
    _check(new)
    now = datetime.now(UTC)
    with ws.db.session() as session:
        if session.get(QueueRow, new.name) is not None:
            raise InputError(
                "a name that no queue has", got=repr(new.name), remedy="give another name"
            )
        row = QueueRow(**_columns(new), created_at=now, created_by=actor, state="open")
        session.add(row)
        session.flush()
        added = _insert(ws, session, row, items, now)
        ws.audit.append(actor, "queue.make", new.name, added, session=session)
        return _queue(row)


def extend_queue(ws: Workspace, name: str, items: Iterable[NewItem], actor: str) -> int:
    """Add items to a queue, leaving out subjects that it has; return how many were added. Audited.

    Raises NotFound.
    """
    with ws.db.session() as session:
        row = find_queue(session, name, lock=True)
        added = _insert(ws, session, row, items, datetime.now(UTC))
        ws.audit.append(actor, "queue.extend", name, added, session=session)
        return sum(added.values())


def get_queue(ws: Workspace, name: str) -> Queue:
    """Find a queue by its name. Raises NotFound."""
    with ws.db.reading() as session:
        return _queue(find_queue(session, name))


def list_queues(ws: Workspace, kind: QueueKind | None = None) -> list[Queue]:
    """All queues or those of one kind, the newest first."""
    query = select(QueueRow).order_by(QueueRow.created_at.desc(), QueueRow.name)
    if kind is not None:
        query = query.where(QueueRow.kind == kind)
    with ws.db.reading() as session:
        return [_queue(row) for row in session.scalars(query)]


def change_queue(ws: Workspace, name: str, actor: str, **changes: Any) -> Queue:
    """Change ``state``, ``title``, ``people``, ``settings``, ``lease_s``, ``suggest``, ``blind`` or
    ``guideline``; a change given as None is none. Audited, by the names of what changed.

    Raises NotFound, and InputError for anything else.
    """
    unknown = sorted(set(changes) - set(_CHANGEABLE))
    if unknown:
        raise InputError(
            "something of a queue that may change",
            got=unknown[0],
            remedy=nearest(unknown[0], _CHANGEABLE),
        )
    with ws.db.session() as session:
        row = find_queue(session, name, lock=True)
        made = {key: value for key, value in changes.items() if value is not None}
        for key, value in made.items():
            setattr(row, key, list(value) if key == "people" else value)
        _check(_queue(row))
        detail = {"changed": sorted(made), "state": row.state}
        ws.audit.append(actor, "queue.change", name, detail, session=session)
        return _queue(row)


def queue_counts(ws: Workspace, name: str) -> Counts:
    """How far a queue is; training and gold items are not counted. Raises NotFound."""
    with ws.db.reading() as session:
        find_queue(session, name)
        states = _item_counts(session, name)
        of_people = _answer_counts(session, name)
        settled = select(func.count()).where(AdjudicationRow.queue == name)
        return Counts(
            items=sum(n for n, _ in states.values()),
            wanted=sum(wanted for _, wanted in states.values()),
            answers=sum(n for (_, state), n in of_people.items() if state == "done"),
            leased=sum(n for (_, state), n in of_people.items() if state == "leased"),
            complete=states.get("done", (0, 0))[0],
            settled=session.scalar(settled) or 0,
            skipped=sum(n for (_, state), n in of_people.items() if state == "skipped"),
            people={who: n for (who, state), n in of_people.items() if state == "done"},
        )


def find_queue(session: Session, name: str, *, lock: bool = False) -> QueueRow:
    """The row of a queue. Raises NotFound."""
    known = name.isprintable()
    row = session.get(QueueRow, name, with_for_update=lock or None) if known else None
    if row is None:
        names = session.scalars(select(QueueRow.name).limit(1000)).all()
        raise NotFound("the name of a queue", got=repr(name[:60]), remedy=nearest(name, names))
    return row


def _item_counts(session: Session, name: str) -> dict[str, tuple[int, int]]:
    of = (QueueItemRow.queue == name, QueueItemRow.role.in_(COUNTING))
    sums = select(QueueItemRow.state, func.count(), func.sum(QueueItemRow.wanted))
    rows = session.execute(sums.where(*of).group_by(QueueItemRow.state))
    return {state: (int(n), int(wanted)) for state, n, wanted in rows}


def _answer_counts(session: Session, name: str) -> dict[tuple[str, str], int]:
    keys = (AssignmentRow.person, AssignmentRow.state)
    of = (AssignmentRow.queue == name, AssignmentRow.counts)
    rows = session.execute(select(*keys, func.count()).where(*of).group_by(*keys))
    return {(person, state): int(n) for person, state, n in rows}


def _insert(
    ws: Workspace, session: Session, queue: QueueRow, items: Iterable[NewItem], now: datetime
) -> dict[str, int]:
    """Write the items; return how many of each role."""
    known = set(session.scalars(select(QueueItemRow.subject_id).where(_of(queue))))
    state = "back" if known else "open"
    added: dict[str, int] = {}

    def rows() -> Iterator[Any]:
        for one in items:
            if one.subject_id in known:
                continue
            known.add(one.subject_id)
            _check_item(one)
            added[one.role] = added.get(one.role, 0) + 1
            everyone = one.role in ("training", "gold")
            yield new_row(queue.name, one, now, EVERYONE if everyone else queue.wanted, state)

    ws.db.insert_new(session, QueueItemRow, rows())
    _set_apart(session, queue, added)
    return added


def _of(queue: QueueRow) -> Any:
    return QueueItemRow.queue == queue.name


def _set_apart(session: Session, queue: QueueRow, added: dict[str, int]) -> None:
    """Note how far hidden duplicates must be from what they repeat."""
    settings = dict(queue.settings or {})
    if "duplicate" in added and "duplicates" not in settings:
        work = select(func.count()).where(_of(queue), QueueItemRow.role == "work")
        settings["duplicates"] = {"apart": min(APART, (session.scalar(work) or 0) // 2)}
        queue.settings = settings


def _check(new: NewQueue) -> None:
    name = new.name
    if not name.strip() or not name.isprintable() or len(name) > NAME_CHARACTERS or "/" in name:
        raise InputError(
            f"a queue's name of 1 to {NAME_CHARACTERS} printable characters without /",
            got=repr(name[:40]),
        )
    if not 1 <= new.wanted <= WANTED_MOST:
        raise InputError(f"1 to {WANTED_MOST} answers per item", got=str(new.wanted))
    if not 1 <= new.lease_s <= 7 * 86400:
        raise InputError("a lease of 1 second to 7 days", got=f"{new.lease_s} s")


def _check_item(one: NewItem) -> None:
    if one.wanted is not None and not 1 <= one.wanted <= EVERYONE:
        raise InputError("an item that wants 1 answer or more", got=str(one.wanted))
    if one.role in ("training", "gold") and (one.expected is None or "value" not in one.expected):
        raise InputError(
            f"the right answer of a {one.role} item",
            got=f"none for {one.subject_id}",
            remedy='give expected = {"value": …, "why": …}',
        )
    if one.role == "duplicate" and one.twin_of is None:
        raise InputError(
            "a duplicate that says what it repeats",
            got=one.subject_id,
            remedy="give twin_of, the subject_id of the other item",
        )


def _columns(new: NewQueue) -> dict[str, Any]:
    made = {field.name: getattr(new, field.name) for field in fields(NewQueue)}
    return made | {"people": list(new.people), "title": storable(new.title)}


def _queue(row: QueueRow) -> Queue:
    return record(
        Queue,
        row,
        kind=cast(QueueKind, row.kind),
        state=cast(QueueState, row.state),
        people=tuple(row.people),
    )
