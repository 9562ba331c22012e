"""Taking items and answers over from another tool into a queue.

    done = take(ws, packet, Into("support"), "mara", dry_run=True)

Repeatable: items that the queue has, and people who answered an item already, are left as they
are, so an import that was interrupted goes on. Whatever cannot be used is refused by name, with
the reason and what to do; the rest is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.annotate.exchange.cleared import Originals, clear_items
from metier.annotate.exchange.giving import asked_in, residue_line
from metier.annotate.exchange.types import Answer, Asked, Exchanged, Packet, Refused
from metier.annotate.make import TAKEN
from metier.core.codec import dumps
from metier.core.errors import InputError, NotFound
from metier.core.ids import new_id
from metier.core.store.tables import AssignmentRow, QueueItemRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.forms import check_answer, form_json
from metier.queue.items import LEASE_S, check_worker
from metier.queue.leases import COUNTING, mark
from metier.queue.originals import keep_original
from metier.queue.queues import change_queue, extend_queue, get_queue, make_queue
from metier.queue.settle import settle
from metier.queue.types import EXCHANGE, NewItem, NewQueue

SUBJECT = "imported"
"""What imported items are about, unless they are examples of a data version."""
EMPTY = ("spans", "labels")
"""Questions to which nothing is an answer: nothing is marked, no label fits."""
NO_ANSWER = ("cannot_tell", "not_my_field")
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Into:
    """The queue that takes it. ``people`` gives the names people have here ({theirs: ours}).

    ``wanted`` answers per item (0: as many as the fullest item has)."""

    queue: str
    title: str = ""
    wanted: int = 0
    guideline: str | None = None
    people: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What an import did, or would do. ``known``: answers that were there already."""

    queue: str
    items: int
    answers: dict[str, int]
    people: tuple[str, ...]
    known: int = 0
    refused: tuple[Refused, ...] = ()
    cleared: int = 0
    dry_run: bool = False


def take(ws: Workspace, packet: Packet, into: Into, actor: str, *, dry_run: bool = False) -> Taken:
    """Take a packet's items and answers into a queue, which is made where it is not there.

    What people typed passes de-identification; what that took out is sealed. Audited.
    Raises InputError for a name that cannot be a queue's, or one that asks something else.
    """
    if into.queue in TAKEN:
        raise InputError("another queue", got=f"{into.queue!r}, which fills itself")
    asked = _asked(ws, packet, into)
    items, refused = checked(packet, asked, into)
    states = Counter(one.state for item in items for one in item.answers)
    people = tuple(sorted({one.person for item in items for one in item.answers}))
    items, originals = clear_items(items, asked)
    found = Taken(
        into.queue,
        len(items),
        {state: count for state, count in states.items()},
        people,
        refused=tuple(refused),
        cleared=len(originals),
    )
    if dry_run or not items:
        return replace(found, dry_run=dry_run)
    added = _make(ws, items, asked, into, actor)
    known = 0
    left = iter(items)
    while batch := list(islice(left, _AT_ONCE)):
        with ws.db.session() as session:
            known += _store(ws, session, into.queue, batch, originals)
    _settle(ws, into.queue, items, actor)
    detail = {"items": added, "answers": found.answers, "refused": len(refused), "known": known}
    ws.audit.append(actor, "queue.import", into.queue, detail)
    return replace(found, items=added, known=known)


def checked(packet: Packet, asked: Asked, into: Into) -> tuple[list[Exchanged], list[Refused]]:
    """The items that can be taken, with the answers that can; and why the others cannot."""
    refused = list(packet.refused)
    items: dict[str, Exchanged] = {}
    for item in packet.items:
        place = item.place or item.id
        if item.id in items:
            refused.append(Refused(place, f"a second record with the id {item.id!r}", "keep one"))
            continue
        if "\x00" in dumps(item) or "\\u0000" in dumps(item):
            refused.append(Refused(place, "a text holds NUL", "take it out"))
            continue
        items[item.id] = replace(item, answers=tuple(_usable(item, asked, into, refused)))
    return list(items.values()), refused


def _usable(item: Exchanged, asked: Asked, into: Into, refused: list[Refused]) -> Iterator[Answer]:
    seen: set[str] = set()
    for one in item.answers:
        person = into.people.get(one.person, one.person)
        place = f"{item.place or item.id}, {one.person}"
        try:
            check_worker(person)
            answer = replace(one, person=person, value=_checked(one, asked))
        except InputError as error:
            remedy = error.remedy or "correct it in the file, or give the tool's settings"
            refused.append(Refused(place, f"{error.expected}; got {error.got}", remedy))
            continue
        if person in seen:
            why = "a second answer of one person to one item"
            refused.append(Refused(place, why, "keep one of them"))
            continue
        seen.add(person)
        yield answer


def _checked(one: Answer, asked: Asked) -> Json:
    """An answer as the form has it; drafts and what was passed on may be anything."""
    if one.state != "done":
        return one.value
    value = one.value
    if value is None and all(question.kind in EMPTY for question in asked.form.fields):
        names = [question.name for question in asked.form.fields]
        value = [] if asked.form.is_bare else {name: [] for name in names}
    if value is None:
        if set(one.flags) & set(NO_ANSWER):
            return None
        raise InputError("an answer", got="none", remedy="mark it as skipped, or leave it out")
    if asked.kind == "review":
        return value
    return check_answer(asked.form, value)


def _asked(ws: Workspace, packet: Packet, into: Into) -> Asked:
    try:
        asked = asked_in(get_queue(ws, into.queue))
    except NotFound:
        return packet.asked
    theirs = {(one.name, one.kind) for one in packet.asked.form.fields}
    ours = {(one.name, one.kind) for one in asked.form.fields}
    if any(item.answers for item in packet.items) and not theirs <= ours:
        raise InputError(
            f"answers to what {into.queue!r} asks: {', '.join(sorted(n for n, _ in ours))}",
            got=f"questions {', '.join(f'{n} ({k})' for n, k in sorted(theirs - ours))}",
            remedy="take another name for the queue, or read the file with the queue's own form",
        )
    return asked


def _make(ws: Workspace, items: Sequence[Exchanged], asked: Asked, into: Into, actor: str) -> int:
    """Make the queue or add to it; return how many items are new."""
    fullest = max(
        (sum(one.state != "skipped" for one in item.answers) for item in items), default=1
    )
    exchange: dict[str, Any] = {"residues": [_keep(ws, items)], "wiring": dict(asked.wiring)}
    new = (_new(one) for one in items)
    try:
        queue = get_queue(ws, into.queue)
    except NotFound:
        make_queue(
            ws,
            NewQueue(
                into.queue,
                asked.kind,
                title=into.title or into.queue,
                wanted=into.wanted or max(fullest, 1),
                guideline=into.guideline,
                form=form_json(asked.form),
                selection={"imported": len(items)},
                settings={EXCHANGE: exchange},
            ),
            new,
            actor,
        )
        return len(items)
    before = (queue.settings or {}).get(EXCHANGE, {})
    kept = list(dict.fromkeys([*before.get("residues", ()), *exchange["residues"]]))
    settings = {**(queue.settings or {}), EXCHANGE: {**exchange, **before, "residues": kept}}
    change_queue(ws, into.queue, actor, settings=settings)
    return extend_queue(ws, into.queue, new, actor)


def _keep(ws: Workspace, items: Iterable[Exchanged]) -> str:
    lines = "".join(residue_line(one) + "\n" for one in items)
    return ws.artifacts.put_bytes(lines.encode(), "application/jsonl")


def _new(one: Exchanged) -> NewItem:
    kind = "example" if one.id.startswith("ex_") else SUBJECT
    role, expected = one.role, None
    if role in ("training", "gold"):
        expected = None if one.settled is None else {"value": one.settled, "why": ""}
        role = "work" if expected is None else role
    if role == "duplicate":  # what it repeats is not told: it counts as an item of its own
        role = "work"
    return NewItem(kind, one.id, one.reasons, one.priority, one.shown, role, expected)


def _store(
    ws: Workspace,
    session: Session,
    queue: str,
    items: Sequence[Exchanged],
    originals: Originals,
) -> int:
    """Write the answers of some items; return how many were there."""
    ids = [one.id for one in items]
    query = select(QueueItemRow).where(
        QueueItemRow.queue == queue, QueueItemRow.subject_id.in_(ids)
    )
    rows = {row.subject_id: row for row in session.scalars(query.with_for_update())}
    held = select(AssignmentRow).where(AssignmentRow.item_id.in_([r.id for r in rows.values()]))
    there: dict[str, list[AssignmentRow]] = {}
    for found in session.scalars(held):
        there.setdefault(found.item_id, []).append(found)
    known = 0
    for item in items:
        row = rows[item.id]
        had = there.get(row.id, [])
        people = {one.person for one in had}
        new = [one for one in item.answers if one.person not in people]
        known += len(item.answers) - len(new)
        made = [_assignment(ws, session, row, one, originals) for one in new]
        _place(row, made, [one.place for one in had])
        session.add_all(made)
        session.flush()
        mark(session, row)
    return known


def _place(row: QueueItemRow, made: Sequence[AssignmentRow], taken: Sequence[int]) -> None:
    """Number the places of new assignments; what was passed on has one below 0."""
    above, below = max([-1, *taken]) + 1, min([0, *taken]) - 1
    for one in made:
        if one.state == "skipped":
            one.place, below = below, below - 1
        else:
            one.place, above = above, above + 1
            row.taken += 1
    row.wanted = max(row.wanted, row.taken)


def _assignment(
    ws: Workspace, session: Session, row: QueueItemRow, one: Answer, originals: Originals
) -> AssignmentRow:
    now = datetime.now(UTC)
    unfinished = one.state != "done" and one.value is not None
    made = AssignmentRow(
        id=new_id("asg"),
        item_id=row.id,
        queue=row.queue,
        person=one.person,
        state={"done": "done", "draft": "leased", "skipped": "skipped"}[one.state],
        created_at=one.created_at or one.answered_at or now,
        lease_until=now + timedelta(seconds=LEASE_S) if one.state == "draft" else None,
        draft={"value": one.value} if unfinished else None,
        answer={"value": one.value} if one.state == "done" else None,
        answered_at=one.answered_at,
        seconds=one.seconds,
        comment=one.comment,
        flags=sorted(set(one.flags)),
        guideline_number=one.guideline_number,
        counts=one.counts and row.role in COUNTING,
    )
    if original := originals.get((row.subject_id, one.person)):
        keep_original(ws, session, made, *original)
    return made


def _settle(ws: Workspace, queue: str, items: Sequence[Exchanged], actor: str) -> None:
    settled = {one.id: one.settled for one in items if one.settled is not None}
    if not settled:
        return
    with ws.db.reading() as session:
        query = select(QueueItemRow.id, QueueItemRow.subject_id).where(QueueItemRow.queue == queue)
        ids = {subject: item for item, subject in session.execute(query) if subject in settled}
    for subject, item_id in ids.items():
        settle(ws, item_id, settled[subject], actor, "person", "imported")
