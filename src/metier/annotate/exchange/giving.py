"""A queue as it is given out: its items with all answers, drafts and passes.

What a tool's record had beyond what the database has lies in one artifact per import, named in the
queue's settings, and joins the items again here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.annotate.exchange.types import Answer, Asked, Exchanged, Packet, State, Suggestion
from metier.annotate.guidelines import get_guideline
from metier.core.errors import NotFound
from metier.core.store.tables import AssignmentRow, QueueItemRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.forms import ANSWER, Form, FormField, form_from
from metier.queue.items import item_of
from metier.queue.leases import assignment_of
from metier.queue.queues import get_queue
from metier.queue.types import EXCHANGE, Assignment, Item, Queue

_AT_ONCE = 500
Left = Mapping[str, Any]


def give(ws: Workspace, name: str) -> Packet:
    """All of a queue, in memory. Raises NotFound."""
    queue = get_queue(ws, name)
    return Packet(
        asked_in(queue), tuple(iter_exchanged(ws, queue)), guideline=_guideline(ws, queue)
    )


def asked_in(queue: Queue) -> Asked:
    """What a queue asks."""
    form = Form((FormField(ANSWER, "text", "Answer"),))
    form = form_from(queue.form) if queue.form is not None else form
    kind = "review" if queue.kind == "review" else "label"
    wiring = (queue.settings or {}).get(EXCHANGE, {}).get("wiring", {})
    return Asked(form, kind, wiring)  # type: ignore[arg-type]


def iter_exchanged(ws: Workspace, queue: Queue) -> Iterator[Exchanged]:
    """The items of a queue with what was said of each, in the order in which they were made."""
    left = residues(ws, queue)
    after = ""
    while True:
        with ws.db.reading() as session:
            page = _page(session, queue.name, after)
        if not page:
            return
        for item, given in page:
            yield _exchanged(item, given, left.get(item.subject_id, {}))
        after = page[-1][0].id


def residues(ws: Workspace, queue: Queue) -> dict[str, Left]:
    """What the records had beyond what the database has, by subject."""
    found: dict[str, Left] = {}
    for artifact in (queue.settings or {}).get(EXCHANGE, {}).get("residues", ()):
        if not ws.artifacts.exists(artifact):  # an erasure dropped it: it repeated a value
            continue
        for line in ws.artifacts.get_bytes(artifact).splitlines():
            one = json.loads(line)
            found[one["id"]] = one
    return found


def residue_line(one: Exchanged) -> str:
    """What of an item the database has no column for, as a line of JSON."""
    parts: dict[str, Json] = {
        "id": one.id,
        "kept": one.kept,
        "metadata": dict(one.metadata),
        "suggestions": [
            {"value": s.value, "agent": s.agent, "score": s.score, "kept": s.kept}
            for s in one.suggestions
        ],
        "answers": [
            {"person": a.person, "kept": a.kept, "undated": a.created_at is None}
            for a in one.answers
        ],
    }
    return json.dumps(parts, ensure_ascii=True, separators=(",", ":"))


def _page(session: Session, queue: str, after: str) -> list[tuple[Item, list[Assignment]]]:
    now = datetime.now(UTC)
    some = select(QueueItemRow).where(QueueItemRow.queue == queue, QueueItemRow.id > after)
    items = session.scalars(some.order_by(QueueItemRow.id).limit(_AT_ONCE)).all()
    query = select(AssignmentRow).where(AssignmentRow.item_id.in_([one.id for one in items]))
    given: dict[str, list[Assignment]] = {one.id: [] for one in items}
    for row in session.scalars(query.order_by(AssignmentRow.created_at, AssignmentRow.id)):
        given[row.item_id].append(assignment_of(row))
    return [(item_of(one, now), given[one.id]) for one in items]


def _exchanged(item: Item, given: list[Assignment], left: Left) -> Exchanged:
    known = {one["person"]: one for one in left.get("answers", ())}
    order = {person: place for place, person in enumerate(known)}
    answers = [_answer(one, known.get(one.person)) for one in given if _state(one)]
    answers.sort(key=lambda one: order.get(one.person, len(order)))
    return Exchanged(
        item.subject_id,
        item.shown or {},
        tuple(answers),
        tuple(_suggestions(item, left)),
        left.get("metadata", {}),
        item.role,
        item.priority,
        item.reasons,
        item.answer,
        kept=left.get("kept"),
    )


def _state(one: Assignment) -> State | None:
    """What an assignment is to other tools; None: nothing was said."""
    if one.state in ("done", "skipped"):
        return "done" if one.state == "done" else "skipped"
    return "draft" if one.draft is not None else None


def _answer(one: Assignment, known: Left | None) -> Answer:
    state = _state(one)
    assert state is not None
    found = Answer(
        one.person,
        state,
        one.answer if state == "done" else one.draft,
        one.created_at,
        one.answered_at,
        one.seconds,
        one.comment,
        tuple(one.flags),
        one.guideline_number,
        one.counts,
    )
    if known is None:
        return found
    created = None if known["undated"] else one.created_at
    return replace(found, created_at=created, kept=known["kept"])


def _suggestions(item: Item, left: Left) -> Iterator[Suggestion]:
    if left:
        for one in left["suggestions"]:
            yield Suggestion(one["value"], one["agent"], one["score"], one["kept"])
        return
    shown = item.shown or {}
    if shown.get("suggestion") is not None:
        yield Suggestion(shown["suggestion"], "metier")


def _guideline(ws: Workspace, queue: Queue) -> str:
    if not queue.guideline:
        return ""
    try:
        return get_guideline(ws, queue.guideline).text
    except NotFound:
        return ""
