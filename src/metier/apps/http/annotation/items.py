"""Items: the next one, a draft, the answer, passing it on, and the last decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from metier.apps.http.annotation.allowed import worked_queue
from metier.apps.http.annotation.shapes import (
    AnswerBody,
    DraftBody,
    ItemOut,
    QueueName,
    ShownOut,
    SkipBody,
)
from metier.apps.http.served import Here, Served
from metier.apps.http.who import Who
from metier.core.errors import InputError, NotFound
from metier.people import Person
from metier.queue import Assignment, Item, Queue
from metier.queue.forms import ANSWER, Form, FormField, form_from

router = APIRouter(prefix="/queues/{name}")
PlaceId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_-]+$", max_length=100, description="As `next` gave it.")
]


class RecentOut(BaseModel):
    """The last decisions of this key, the newest first."""

    data: list[ItemOut]


@router.post("/next", response_model=ItemOut, responses={204: {"description": "Nothing waits."}})
def next_item(name: QueueName, served: Here, who: Who) -> ItemOut | Response:
    """Lease the next item; the one that this key holds comes again."""
    from metier.queue import take_next

    queue = worked_queue(served.session.workspace, name, who)
    found = take_next(served.session.workspace, name, who.id)
    return Response(status_code=204) if found is None else _out(queue, *found)


@router.post("/items/{place}/draft")
def keep_draft(name: QueueName, place: PlaceId, body: DraftBody, served: Here, who: Who) -> ItemOut:
    """Keep what was entered so far, and renew the lease."""
    from metier.feedback.clear import clear_value
    from metier.queue import keep_draft as keep

    queue, _, _ = _own(served, name, place, who)
    keep(served.session.workspace, place, who.id, clear_value(body.draft))
    return _out(queue, *_own(served, name, place, who)[1:])


@router.post("/items/{place}/answer")
def answer_item(
    name: QueueName, place: PlaceId, body: AnswerBody, served: Here, who: Who
) -> ItemOut:
    """Store an answer; the same again changes nothing."""
    queue, _, _ = _own(served, name, place, who)
    if queue.kind == "review":
        _review(served, place, body, who)
    else:
        _label(served, name, place, body, who)
    return _out(queue, *_own(served, name, place, who)[1:])


@router.post("/items/{place}/skip")
def skip_item(name: QueueName, place: PlaceId, body: SkipBody, served: Here, who: Who) -> ItemOut:
    """Pass an item on to others; this key gets another."""
    from metier.queue import pass_on

    queue, _, _ = _own(served, name, place, who)
    pass_on(served.session.workspace, place, who.id, body.reason)
    return _out(queue, *_own(served, name, place, who)[1:])


@router.get("/recent")
def recent_items(
    name: QueueName, served: Here, who: Who, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> RecentOut:
    """The last decisions of this key; the last ten may be changed by answering again."""
    from metier.queue import recent

    ws = served.session.workspace
    queue = worked_queue(ws, name, who)
    return RecentOut(data=[_out(queue, *one) for one in recent(ws, name, who.id, limit)])


def _own(served: Served, name: str, place: str, who: Person) -> tuple[Queue, Item, Assignment]:
    """This person's place in this queue. Raises NotFound for any other."""
    from metier.queue import get_assignment

    ws = served.session.workspace
    queue = worked_queue(ws, name, who)
    item, assignment = get_assignment(ws, place, who.id)
    if item.queue != name:
        raise NotFound(f"the id of one of your items in {name}", got=repr(place[:60]))
    return queue, item, assignment


def _label(served: Served, name: str, place: str, body: AnswerBody, who: Person) -> None:
    from metier.journey.desk import Answered, open_desk, save_work

    flags, number = tuple(body.flags), body.guideline_number
    said = Answered(body.value, body.seconds, body.comment, flags, number)
    save_work(served.session, open_desk(served.session, name, who.id), place, who.id, said)


def _review(served: Served, place: str, body: AnswerBody, who: Person) -> None:
    from metier.review.answers import Said, give_answer

    value = {} if body.value is None else body.value
    if not isinstance(value, dict):
        raise InputError("value as an object", got=type(value).__name__)
    said = Said(value, body.seconds, body.comment, "not_my_field" in body.flags)
    give_answer(served.session.workspace, place, who, said)


def _out(queue: Queue, item: Item, assignment: Assignment) -> ItemOut:
    form = form_from(queue.form) if queue.form is not None else _TEXT
    shown = ShownOut.of(item.shown or {}, suggests=queue.suggest and not queue.blind)
    return ItemOut.of(assignment, shown, form)


_TEXT = Form((FormField(ANSWER, "text", "Answer"),))
