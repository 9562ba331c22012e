"""Ratings that were made elsewhere, put into a panel as if they had been given here.

    add_ratings(ws, "spring", [Elsewhere("anna", "ex_9f…", ("tuned",), {"ratings": {…}})], "mara")

Each becomes a person's place at the panel's item, with its answer; all of them or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.core.errors import InputError, NotFound, nearest
from metier.core.store.tables import AssignmentRow, QueueItemRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.people.types import Person
from metier.queue.items import check_worker, item_of
from metier.queue.leases import assignment_of, lease_new
from metier.queue.queues import find_queue, get_queue
from metier.queue.types import Queue
from metier.review.answers import Said, checked_answer, store_answer
from metier.review.panel import Panel, panel_of, read_subject


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One person's answer to one item. ``candidates`` are names, or keys c1, c2, …: one for a
    rating, two (reply a, reply b) for a pair. ``value`` is as in ``review.answers``."""

    person: str
    example_id: str
    candidates: tuple[str, ...]
    value: Mapping[str, Json]
    seconds: float | None = None
    comment: str = ""
    at: datetime | None = None
    again: bool = False
    """It is the second answer of this person to a hidden duplicate."""


def add_ratings(ws: Workspace, name: str, rows: Iterable[Elsewhere], actor: str) -> int:
    """Add answers to a panel; return how many are new. The same again changes nothing. Audited.

    Raises NotFound for an item or candidate that the panel does not have, InputError for an answer
    that does not fit; nothing is kept then.
    """
    queue = get_queue(ws, name)
    panel, new = panel_of(queue), 0
    with ws.db.session() as session:
        find_queue(session, name, lock=True)
        items = _items(session, name)
        for one in rows:
            new += _add(ws, session, queue, panel, items, one)
        ws.audit.append(actor, "review.import", name, {"new": new}, session=session)
    return new


_Key = tuple[frozenset[str], str, bool]


def _add(
    ws: Workspace,
    session: Session,
    queue: Queue,
    panel: Panel,
    items: Mapping[_Key, str],
    one: Elsewhere,
) -> int:
    check_worker(one.person)
    keys = tuple(_key(panel, name) for name in one.candidates)
    found = items.get((frozenset(keys), one.example_id, one.again))
    if found is None:
        got = f"{one.example_id} with {', '.join(one.candidates)}"
        raise NotFound(f"an item of panel {queue.name!r}", got=got)
    row = session.get_one(QueueItemRow, found, with_for_update=True)
    now = datetime.now(UTC)
    item = item_of(row, now)
    turned = len(keys) == 2 and read_subject(row.subject_id)[0] != keys
    value = _turned(one.value) if turned else one.value
    rater = Person(one.person, one.person, "owner", fields=_all_fields(panel))
    said = Said(value, one.seconds, one.comment)
    typed = checked_answer(panel, item, rater, said)
    mine = select(AssignmentRow).where(
        AssignmentRow.item_id == found, AssignmentRow.person == one.person
    )
    place = session.scalars(mine).first()
    known = place is not None and place.state == "done"
    if place is None:
        row.wanted = max(row.wanted, row.taken + 1)
        place = lease_new(session, find_queue(session, queue.name), row, one.person, now)
    store_answer(ws, session, (panel, item), assignment_of(place), said, typed)
    if one.at is not None:
        session.get_one(AssignmentRow, place.id).answered_at = one.at
    return int(not known)


def _items(session: Session, name: str) -> dict[_Key, str]:
    query = select(QueueItemRow.id, QueueItemRow.subject_id, QueueItemRow.role)
    found = {}
    for item_id, subject, role in session.execute(query.where(QueueItemRow.queue == name)):
        keys, example = read_subject(subject)
        found[frozenset(keys), example, role == "duplicate"] = item_id
    return found


def _key(panel: Panel, name: str) -> str:
    by_name = {one.name: one.key for one in panel.candidates}
    by_name |= {one.evaluation: one.key for one in panel.candidates}
    if name in by_name.values():
        return name
    if name not in by_name:
        raise InputError("a candidate of the panel", got=repr(name), remedy=nearest(name, by_name))
    return by_name[name]


def _all_fields(panel: Panel) -> tuple[str, ...]:
    """Made elsewhere, every dimension may have been rated by anybody."""
    return tuple(field for one in panel.dimensions for field in one.rated_by)


def _turned(value: Mapping[str, Json]) -> dict[str, Json]:
    """An answer whose a and b are the other way round."""
    other = {"a": "b", "b": "a"}
    found = dict(value)
    for name in ("preferred", "harm_in"):
        if found.get(name) in other:
            found[name] = other[found[name]]
    if isinstance(found.get("ratings"), Mapping):
        found["ratings"] = {other.get(side, side): one for side, one in found["ratings"].items()}
    found["wrong"] = _marks_turned(found.get("wrong") or (), other)
    return found


def _marks_turned(marks: Sequence[Json], other: Mapping[str, str]) -> list[Json]:
    return [{**one, "reply": other.get(one.get("reply", "a"), "a")} for one in marks]
