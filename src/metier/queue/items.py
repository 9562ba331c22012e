"""Items: things a person is asked to look at, handed out one by one under leases.

    add_items -> open -- next_item --> leased -- answer_item --> done
                  ^----- lease ends -----'  '--- skip_item ----> skipped
                  '------------------- reopen_item -----------------'

A lease says who has an item on the screen and until when. One that ended is as if it had never
been given: whoever comes next gets the item. Answers are stored as they come; taking identifiers
out of them is the part of whoever knows their shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text
from sqlalchemy.orm import Session

from metier.core.codec import dumps
from metier.core.errors import Busy, InputError, NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.store.tables import QueueItemRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.clear import clear_text
from metier.queue.types import Item, ItemState, NewItem

STATES: tuple[ItemState, ...] = get_args(ItemState)
LEASE_S = 600.0
WORKER_CHARACTERS = 200
_IN = 500  # ids in one IN (...)


def add_items(
    ws: Workspace, queue: str, subjects: Sequence[NewItem], *, session: Session | None = None
) -> list[Item]:
    """Put subjects into a queue and return their items, in the order of ``subjects``.

    A subject that is there already keeps its item; while that waits for an answer, it takes on
    the new reasons and the higher priority.
    """
    now = datetime.now(UTC)
    rows = [new_row(queue, one, now) for one in subjects]
    with writing(ws, session) as own:
        ws.db.insert_new(own, QueueItemRow, rows)
        found = _by_subject(own, queue, [one.subject_id for one in subjects], lock=True)
        for one in subjects:
            _merge(found[one.subject_id], one)
        own.flush()
        return [item_of(found[one.subject_id], now) for one in subjects]


def next_item(ws: Workspace, queue: str, worker: str, lease_s: float = LEASE_S) -> Item | None:
    """Lease the next item to ``worker`` for ``lease_s`` seconds; None when none waits.

    The one this worker holds comes again, its lease renewed; else the highest priority, and of
    equals the oldest. No two workers get one item, however many ask at once.
    Raises InputError for a worker's name that is empty or not printable.
    """
    check_worker(worker)
    now = datetime.now(UTC)
    with ws.db.session() as session:
        one_at_a_time(ws, session, f"{queue}\n{worker}")
        mine = and_(QueueItemRow.leased_by == worker, *_held(now))
        row = session.scalars(_waiting(queue, mine)).first()
        if row is None:
            row = session.scalars(_waiting(queue, _free(now))).first()
        if row is None:
            return None
        row.state, row.leased_by = "leased", worker
        row.lease_until = now + timedelta(seconds=lease_s)
        return item_of(row, now)


def get_item(ws: Workspace, item_id: str) -> Item:
    """Find an item by its whole id. Raises NotFound."""
    with ws.db.reading() as session:
        return item_of(_row(session, item_id), datetime.now(UTC))


def list_items(ws: Workspace, queue: str, state: ItemState | None = None) -> list[Item]:
    """Items in the order in which they are handed out, all or those in one state."""
    query = select(QueueItemRow).where(QueueItemRow.queue == queue)
    now = datetime.now(UTC)
    with ws.db.reading() as session:
        items = [item_of(row, now) for row in session.scalars(_in_order(query))]
    return [one for one in items if state in (None, one.state)]


def items_of(ws: Workspace, queue: str, subject_ids: Sequence[str]) -> dict[str, Item]:
    """The items of these subjects, by subject; those that are not in the queue are left out."""
    now = datetime.now(UTC)
    with ws.db.reading() as session:
        rows = _by_subject(session, queue, subject_ids)
    return {subject: item_of(row, now) for subject, row in rows.items()}


def count_items(ws: Workspace, queue: str) -> dict[ItemState, int]:
    """How many items are in each state (all four are named)."""
    now = datetime.now(UTC)
    of = QueueItemRow.queue == queue
    query = select(QueueItemRow.state, func.count()).where(of).group_by(QueueItemRow.state)
    with ws.db.reading() as session:
        stored = {state: count for state, count in session.execute(query)}
        held = session.scalar(select(func.count()).where(of, *_held(now))) or 0
    counts = {state: int(stored.get(state, 0)) for state in STATES}
    open_ones = counts["open"] + int(stored.get("back", 0)) + counts["leased"] - held
    return counts | {"open": open_ones, "leased": held}


def answer_item(
    ws: Workspace,
    item_id: str,
    worker: str,
    value: Json,
    seconds: float | None = None,
    original: tuple[str, bytes] | None = None,
    *,
    session: Session | None = None,
) -> Item:
    """Store a person's answer; ``seconds`` is how long it took them.

    The same answer again changes nothing; another one takes its place, which is audited by keyed
    hashes. ``original`` is (group, text to seal): what de-identification took out of the answer.

    Raises:
        NotFound: there is no such item.
        Busy: someone else holds it, and that lease has not ended.
        InputError: ``value`` is None, or ``seconds`` is not a duration.
    """
    _check_answer(value, seconds)
    check_worker(worker)
    now = datetime.now(UTC)
    with writing(ws, session) as own:
        row = _row(own, item_id, lock=True)
        boxed = {"value": value}
        if row.state == "done" and dumps(row.answer) == dumps(boxed):
            return item_of(row, now)
        _refuse_if_held(row, worker, now)
        _audit_change(ws, own, row, worker, boxed)
        if original is not None:
            row.sealed_id = ws.sealed.seal(*original, session=own)
        row.answer, row.seconds, row.note = boxed, seconds, None
        _close(row, "done", worker, now)
        return item_of(row, now)


def skip_item(
    ws: Workspace, item_id: str, worker: str, reason: str, *, session: Session | None = None
) -> Item:
    """Put an item aside for ``reason``, which its note keeps without identifiers.

    Raises as ``answer_item`` does, and Busy for an item that is answered.
    """
    if not reason.strip():
        raise InputError("a reason why the item is skipped", got="none", remedy="say it in words")
    check_worker(worker)
    now = datetime.now(UTC)
    with writing(ws, session) as own:
        row = _row(own, item_id, lock=True)
        _refuse_if_held(row, worker, now)
        if row.state == "done":
            raise Busy(
                "an item without an answer",
                got=f"{item_id}, which {row.answered_by} answered",
                remedy="reopen it first",
            )
        row.note = clear_text(storable(reason))
        _close(row, "skipped", worker, now)
        return item_of(row, now)


def reopen_item(
    ws: Workspace, item_id: str, worker: str, *, session: Session | None = None
) -> Item:
    """Undo an answer or a skip: the item is open again, without its answer. Audited.

    Raises NotFound, or Busy when someone else holds it.
    """
    check_worker(worker)
    now = datetime.now(UTC)
    with writing(ws, session) as own:
        row = _row(own, item_id, lock=True)
        _refuse_if_held(row, worker, now)
        if row.state in ("done", "skipped"):
            detail = {"state": row.state, "before": _hash(ws, row)}
            ws.audit.append(worker, "queue.reopen", row.id, detail, session=own)
        row.answer = row.seconds = row.note = row.sealed_id = None
        _close(row, "open", None, None)
        return item_of(row, now)


def writing(ws: Workspace, session: Session | None) -> AbstractContextManager[Session]:
    """The session given, or a transaction of its own."""
    return ws.db.session() if session is None else nullcontext(session)


def new_row(
    queue: str, one: NewItem, now: datetime, wanted: int = 1, state: str = "open"
) -> Mapping[str, Any]:
    """The columns of a new item, of which ``wanted`` people answer unless it says otherwise."""
    return {
        "id": new_id("item"),
        "created_at": now,
        "queue": queue,
        "subject_kind": one.subject_kind,
        "subject_id": one.subject_id,
        "reasons": list(dict.fromkeys(one.reasons)),
        "priority": one.priority,
        "rank": -one.priority,
        "state": state,
        "role": one.role,
        "shown": one.shown,
        "expected": one.expected,
        "wanted": one.wanted if one.wanted is not None else wanted,
        "twin_of": one.twin_of,
    }


def _merge(row: QueueItemRow, one: NewItem) -> None:
    if row.state not in ("open", "leased"):
        return
    merged = list(dict.fromkeys([*row.reasons, *one.reasons]))
    if merged != row.reasons:
        row.reasons = merged
    row.priority = max(row.priority, one.priority)
    row.rank = -row.priority


def _by_subject(
    session: Session, queue: str, ids: Sequence[str], *, lock: bool = False
) -> dict[str, QueueItemRow]:
    found: dict[str, QueueItemRow] = {}
    ids = sorted(ids)  # rows are locked in one order, so that two writers do not block each other
    for start in range(0, len(ids), _IN):
        part = QueueItemRow.subject_id.in_(ids[start : start + _IN])
        query = select(QueueItemRow).where(QueueItemRow.queue == queue, part)
        query = query.order_by(QueueItemRow.subject_id)
        rows = session.scalars(query.with_for_update() if lock else query)
        found |= {row.subject_id: row for row in rows}
    return found


def one_at_a_time(ws: Workspace, session: Session, key: str) -> None:
    """Let a worker who asks twice at once get one item; SQLite sessions wait for each other
    already."""
    if not ws.db.is_sqlite:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": key})


def _held(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return QueueItemRow.state == "leased", QueueItemRow.lease_until > now


def _free(now: datetime) -> ColumnElement[bool]:
    ended = and_(QueueItemRow.state == "leased", QueueItemRow.lease_until <= now)
    return or_(QueueItemRow.state == "open", ended)


def _waiting(queue: str, which: ColumnElement[bool]) -> Select[QueueItemRow]:
    query = select(QueueItemRow).where(QueueItemRow.queue == queue, which)
    return _in_order(query).limit(1).with_for_update(skip_locked=True)


def _in_order(query: Select[QueueItemRow]) -> Select[QueueItemRow]:
    return query.order_by(QueueItemRow.rank, QueueItemRow.id)


def _row(session: Session, item_id: str, *, lock: bool = False) -> QueueItemRow:
    # No id has other characters, and not every database takes them.
    known = item_id.isprintable()
    row = session.get(QueueItemRow, item_id, with_for_update=lock or None) if known else None
    if row is None:
        raise NotFound("the id of an item of a queue", got=repr(item_id), remedy="check the id")
    return row


def _is_held(row: QueueItemRow, now: datetime) -> bool:
    return row.state == "leased" and row.lease_until is not None and row.lease_until > now


def _refuse_if_held(row: QueueItemRow, worker: str, now: datetime) -> None:
    if _is_held(row, now) and row.leased_by != worker:
        raise Busy(
            f"{row.id} to be free or held by {worker}",
            got=f"a lease of {row.leased_by} until {row.lease_until:%H:%M:%S} UTC",
            remedy="take another item, or wait until that lease ends",
        )


def check_worker(worker: str) -> None:
    """Raise InputError for a name that is empty, too long or not printable."""
    if not worker.strip() or not worker.isprintable() or len(worker) > WORKER_CHARACTERS:
        raise InputError(
            f"a worker's name of 1 to {WORKER_CHARACTERS} printable characters",
            got=repr(worker[:40]),
            remedy="give the name of who does the work",
        )


def storable(text: str) -> str:
    """A text that every database takes: no NUL, no halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _check_answer(value: Json, seconds: float | None) -> None:
    if value is None:
        raise InputError("an answer", got="null", remedy="give one, or skip the item")
    check_seconds(seconds)


def check_seconds(seconds: float | None) -> None:
    """Raise InputError for what is no duration."""
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise InputError("seconds of 0 or more", got=str(seconds), remedy="leave it out")


def _audit_change(
    ws: Workspace, session: Session, row: QueueItemRow, worker: str, boxed: Json
) -> None:
    """Note that an answer is replaced; texts of people stay out of the log."""
    if row.state != "done":
        return
    detail = {
        "before": _hash(ws, row),
        "after": ws.sealed.group_hash(dumps(boxed)),
        "before_by": row.answered_by,
        "sealed": row.sealed_id,
    }
    ws.audit.append(worker, "queue.change", row.id, detail, session=session)
    row.sealed_id = None


def _hash(ws: Workspace, row: QueueItemRow) -> str | None:
    """Keyed hash of the stored answer: tells answers apart, and reveals none."""
    return None if row.answer is None else ws.sealed.group_hash(dumps(row.answer))


def _close(row: QueueItemRow, state: ItemState, worker: str | None, at: datetime | None) -> None:
    row.state, row.leased_by, row.lease_until = state, None, None
    row.answered_by, row.answered_at = worker, at


def item_of(row: QueueItemRow, now: datetime) -> Item:
    """The item of a row, as it is at ``now``."""
    ended = row.state == "leased" and row.leased_by is not None and not _is_held(row, now)
    ended |= row.state == "back"
    lease: dict[str, Any] = {"state": "open", "leased_by": None, "lease_until": None}
    return record(
        Item,
        row,
        reasons=tuple(row.reasons),
        answer=None if row.answer is None else row.answer["value"],
        **(lease if ended else {"state": cast(ItemState, row.state)}),
    )
