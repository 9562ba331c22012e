"""Training rounds and gold items: answers that are known, to learn from and to be scored by.

    settings = {"training": {"items": 10, "pass": 0.8}, "gold": {"rate": 0.05}}

Newcomers answer ``items`` training items first, and are told after each what was right and why.
Whoever has the share ``pass`` of their last ``items`` right goes on to the work; others get more
training items while there are some. After that somebody has to let them in, by name:
``{"training": {…, "admitted": ["person id"]}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metier.core.errors import InputError
from metier.core.store.tables import AssignmentRow, QueueItemRow, QueueRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.leases import find_assignment
from metier.queue.queues import find_queue
from metier.queue.types import GoldScore, Told, TrainingState


def is_right(value: Json, expected: Mapping[str, Any]) -> bool:
    """Whether an answer is the expected one.

    Lists are equal in any order, objects where they have what is expected; numbers may be
    ``expected["within"]`` apart (0 if it is not said).
    """
    return _matches(value, expected["value"], float(expected.get("within") or 0))


def training_state(ws: Workspace, queue: str, person: str) -> TrainingState:
    """How a person does in the training round of a queue. Raises NotFound."""
    with ws.db.reading() as session:
        return state_of(session, find_queue(session, queue), person)


def training_states(ws: Workspace, queue: str) -> dict[str, TrainingState]:
    """How everybody does who began the training round of a queue, by person. Raises NotFound."""
    with ws.db.reading() as session:
        row = find_queue(session, queue)
        began = {one.person for one, _ in session.execute(_known(queue, "training"))}
        return {one: state_of(session, row, one) for one in sorted(began)}


def admit(ws: Workspace, queue: str, person: str, actor: str) -> None:
    """Let somebody into the work of a queue who did not pass its training round. Audited.

    Raises NotFound, and InputError for a queue without a training round.
    """
    with ws.db.session() as session:
        row = find_queue(session, queue, lock=True)
        settings = dict(row.settings or {})
        if not settings.get("training"):
            raise InputError("a queue with a training round", got=repr(queue))
        asks = dict(settings["training"])
        asks["admitted"] = sorted({*asks.get("admitted", ()), person})
        row.settings = settings | {"training": asks}
        ws.audit.append(actor, "queue.admit", queue, {"person": person}, session=session)


def told_of(ws: Workspace, assignment_id: str, person: str) -> Told | None:
    """What the person is told of a training item that they answered; None for other items.

    Raises NotFound unless the assignment is this person's.
    """
    with ws.db.reading() as session:
        item, row = find_assignment(session, assignment_id, person)
        if item.role != "training" or row.answer is None or item.expected is None:
            return None
        right = is_right(row.answer["value"], item.expected)
        why = str(item.expected.get("why", ""))
        return Told(item.id, right, item.expected["value"], why)


def gold_scores(ws: Workspace, queue: str) -> list[GoldScore]:
    """How many gold items each person had right, by person. Raises NotFound."""
    from metier.scoring.statistics.intervals import wilson

    with ws.db.reading() as session:
        find_queue(session, queue)
        given: dict[str, list[bool]] = {}
        for row, expected in session.execute(_known(queue, "gold")):
            given.setdefault(row.person, []).append(is_right(row.answer["value"], expected))
    scores = []
    for person, rights in sorted(given.items()):
        low, high = wilson(sum(rights), len(rights))
        scores.append(GoldScore(person, sum(rights), len(rights), low, high))
    return scores


def state_of(session: Session, queue: QueueRow, person: str) -> TrainingState:
    """As ``training_state``, in an open session."""
    asks = (queue.settings or {}).get("training")
    if not asks:
        return TrainingState(0, 0, True, 0, 0.0, 0)
    mine = _known(queue.name, "training").where(AssignmentRow.person == person)
    answered = session.execute(mine.order_by(AssignmentRow.answered_at, AssignmentRow.id))
    rights = [is_right(row.answer["value"], expected) for row, expected in answered]
    of = (QueueItemRow.queue == queue.name, QueueItemRow.role == "training")
    total = session.scalar(select(func.count()).where(*of)) or 0
    items, bar = min(int(asks["items"]), total), float(asks.get("pass", 0.8))
    last = rights[-items:] if items else []
    enough = len(last) == items and sum(last) >= bar * items
    passed = enough or person in asks.get("admitted", ())
    return TrainingState(sum(rights), len(rights), passed, items, bar, total - len(rights))


def _known(queue: str, role: str) -> Any:
    return (
        select(AssignmentRow, QueueItemRow.expected)
        .join(QueueItemRow, QueueItemRow.id == AssignmentRow.item_id)
        .where(QueueItemRow.queue == queue, QueueItemRow.role == role)
        .where(AssignmentRow.state == "done", AssignmentRow.answer.is_not(None))
    )


def _matches(value: Json, expected: Json, within: float) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(value, Mapping) and all(
            key in value and _matches(value[key], wanted, within)
            for key, wanted in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(value, list) and _in_order(value) == _in_order(expected)
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value - expected) <= within
    return type(value) is type(expected) and bool(value == expected)


def _in_order(values: list[Json]) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in values)
