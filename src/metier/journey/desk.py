"""The desk: one item at a time for one person, with its form, whatever the queue is.

    desk = open_desk(session, "round-1", person)
    work = open_next(session, desk.name, person)         leased, or None
    save_work(session, desk, work.key, person, answer)

Queues of rows to label keep a person's place as an assignment; the queue of corrections (served
replies that failed) has one answer per item, which makes a case. Both are the same to the pages.
``key`` is the assignment's id, or there the item's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import func, select

from metier.annotate.guidelines import get_guideline
from metier.annotate.make import marked_text, turns_of
from metier.annotate.suggest import may_suggest
from metier.core.errors import InputError, NotFound
from metier.core.store.tables import AssignmentRow
from metier.core.types import Json
from metier.feedback.correct import correct_item
from metier.feedback.desk import peek_correction, recent_corrections
from metier.feedback.labels import current_labels
from metier.feedback.types import CORRECTIONS
from metier.feedback.types import Work as Correction
from metier.feedback.work import next_work, show_items
from metier.journey.session import Session
from metier.models.prompt import parse_reply
from metier.queue import (
    EDITABLE,
    Assignment,
    Counts,
    Flag,
    Given,
    Item,
    Queue,
    Told,
    clear_text,
    count_items,
    get_assignment,
    get_item,
    get_queue,
    keep_draft,
    pass_on,
    peek_next,
    queue_counts,
    recent,
    skip_item,
    submit,
    take_next,
    told_of,
)
from metier.queue.forms import (
    ANSWER,
    Form,
    check_answer,
    clear_answer,
    form_from,
    form_of,
    values_of,
)

FLAGS: tuple[Flag, ...] = ("cannot_tell", "not_my_field", "flagged")


@dataclass(frozen=True)
class Desk:
    """A queue as a person works in it. ``is_corrections``: an answer makes a case, and there are
    no comments; ``guideline`` is (name, newest number), None where it has none."""

    name: str
    title: str
    form: Form
    guideline: tuple[str, int] | None
    suggests: bool
    blind: bool
    is_corrections: bool = False


@dataclass(frozen=True)
class Work:
    """One item on the screen. ``key`` "" is one that nobody leased yet; ``value`` the answer this
    person gave before, ``begin`` what the fields begin with else; ``about`` more to know of a
    correction."""

    key: str
    item_id: str
    shown: Mapping[str, Json]
    value: Json | None = None
    begin: Mapping[str, Json] = field(default_factory=dict)
    draft: Json | None = None
    seconds: float = 0.0
    comment: str = ""
    flags: tuple[Flag, ...] = ()
    state: str = "leased"
    is_training: bool = False
    about: Correction | None = None


@dataclass(frozen=True)
class Decision:
    """One of a person's last decisions."""

    key: str
    state: str
    value: Json | None
    flags: tuple[Flag, ...]
    note: str
    seconds: float | None
    at: datetime | None


@dataclass(frozen=True)
class Answered:
    """What a person says of an item, as the form gave it."""

    value: Json | None
    seconds: float | None = None
    comment: str = ""
    flags: tuple[Flag, ...] = ()
    guideline_number: int | None = None


def open_desk(session: Session, name: str, person: str) -> Desk:
    """Find a queue that a person may work in. Raises NotFound."""
    if name == CORRECTIONS:
        objective = session.project.objective
        form = form_of(objective, current_labels(session.workspace, objective))
        title = "Corrections of served replies"
        return Desk(name, title, form, None, suggests=True, blind=False, is_corrections=True)
    queue = get_queue(session.workspace, name)
    if queue.kind != "label" or (queue.people and person not in queue.people):
        raise NotFound("a queue of yours in which rows are labelled", got=repr(name[:60]))
    return Desk(
        name,
        queue.title or name,
        form_from(queue.form),
        _guideline(session, queue),
        suggests=may_suggest(queue),
        blind=queue.blind,
    )


def open_next(session: Session, name: str, person: str) -> Work | None:
    """Lease the next item to a person; the one they hold comes again. None: nothing waits."""
    ws = session.workspace
    if name == CORRECTIONS:
        objective = session.project.objective
        found = next_work(ws, objective, current_labels(ws, objective), person)
        return None if found is None else _corrected(session, found)
    pair = take_next(ws, name, person)
    return None if pair is None else _assigned(*pair)


def open_work(session: Session, name: str, key: str, person: str) -> Work:
    """One of a person's items, held or decided. Raises NotFound for what is not theirs."""
    ws = session.workspace
    if name == CORRECTIONS:
        item = _own_correction(session, key, person)
        objective = session.project.objective
        labels = current_labels(ws, objective)
        return _corrected(session, show_items(ws, objective, labels, [item])[0])
    item, one = get_assignment(ws, key, person)
    if item.queue != name:
        raise NotFound(f"the id of one of your items in {name}", got=repr(key[:60]))
    return _assigned(item, one)


def peek_work(session: Session, name: str, person: str, after: str) -> Work | None:
    """What is likely to come after the item ``after``; nobody's place is taken."""
    ws = session.workspace
    if name == CORRECTIONS:
        item = peek_correction(ws, after)
        objective = session.project.objective
        labels = current_labels(ws, objective)
        shown = [] if item is None else show_items(ws, objective, labels, [item])
        return replace(_corrected(session, shown[0]), key="") if shown else None
    found = peek_next(ws, name, person)
    if found is None or found.id == after:
        return None
    screen = found.shown or {}
    begin = _begin(screen)
    return Work("", found.id, screen, begin=begin, is_training=found.role == "training")


def save_work(session: Session, desk: Desk, key: str, person: str, said: Answered) -> None:
    """Store an answer; the same again changes nothing.

    Raises NotFound for an item that is not theirs, InputError for an answer that does not fit the
    form, Busy where others have all places by now or the decision is too old to change.
    """
    ws = session.workspace
    work = open_work(session, desk.name, key, person)
    if desk.is_corrections:
        objective, config = session.project.objective, session.project.feedback
        labels = current_labels(ws, objective)
        correct_item(ws, config, objective, labels, key, person, said.value, said.seconds)
        return
    value, original = None, None
    if not {"cannot_tell", "not_my_field"} & set(said.flags):
        original = check_answer(desk.form, said.value, marked_text(work.shown))
        value = clear_answer(desk.form, original, clear_text)
    number = _number(desk, said.guideline_number)
    submit(
        ws,
        key,
        person,
        Given(value, said.seconds, said.comment, said.flags, number),
        original,
    )


def draft_work(session: Session, name: str, key: str, person: str, draft: Json) -> None:
    """Keep what was entered so far, cleared of identifiers; the queue of corrections keeps none.

    Raises NotFound for an item that is not theirs, Busy where it may not be answered any more.
    """
    if name != CORRECTIONS:
        open_work(session, name, key, person)
        keep_draft(session.workspace, key, person, draft)


def put_aside(session: Session, name: str, key: str, person: str, reason: str) -> None:
    """Give an item back for a reason. Raises as ``open_work`` does, Busy once it is answered."""
    open_work(session, name, key, person)
    if name == CORRECTIONS:
        skip_item(session.workspace, key, person, reason)
    else:
        pass_on(session.workspace, key, person, reason)


def last_decisions(session: Session, name: str, person: str) -> list[Decision]:
    """A person's last decisions, which may be changed, newest first."""
    ws = session.workspace
    if name == CORRECTIONS:
        return [
            Decision(o.id, o.state, o.answer, (), o.note or "", o.seconds, o.answered_at)
            for o in recent_corrections(ws, person, EDITABLE)
        ]
    return [
        Decision(
            one.id,
            one.state,
            one.answer,
            one.flags,
            one.comment,
            one.seconds,
            one.answered_at,
        )
        for item, one in recent(ws, name, person)
        if item.role != "training" or one.state != "done"
    ]


def told_after(session: Session, name: str, key: str, person: str) -> tuple[Told, Work] | None:
    """What is told of a training item after its answer; None for other items."""
    if name == CORRECTIONS or not key:
        return None
    told = told_of(session.workspace, key, person)
    return None if told is None else (told, open_work(session, name, key, person))


def counts_of(session: Session, name: str) -> Counts:
    """How far a queue is."""
    if name != CORRECTIONS:
        return queue_counts(session.workspace, name)
    states = count_items(session.workspace, name)
    items = sum(states.values())
    return Counts(
        items,
        items,
        states["done"],
        states["leased"],
        states["done"],
        states["done"],
        states["skipped"],
    )


def done_since(session: Session, name: str, person: str, moment: datetime) -> int:
    """How many answers a person gave in a queue after a moment (of corrections: 0, they are not
    counted)."""
    mine = (AssignmentRow.queue == name, AssignmentRow.person == person)
    query = select(func.count()).where(*mine, AssignmentRow.state == "done", AssignmentRow.counts)
    with session.workspace.db.reading() as reading:
        return reading.scalar(query.where(AssignmentRow.answered_at > moment)) or 0


def waits_for(session: Session, name: str, person: str) -> bool:
    """Whether a person would be given an item of a queue now."""
    if name == CORRECTIONS:
        return peek_correction(session.workspace, "") is not None
    held = (AssignmentRow.queue == name, AssignmentRow.person == person)
    query = select(AssignmentRow.id).where(*held, AssignmentRow.state == "leased").limit(1)
    with session.workspace.db.reading() as reading:
        if reading.scalar(query) is not None:
            return True
    return peek_next(session.workspace, name, person) is not None


def _guideline(session: Session, queue: Queue) -> tuple[str, int] | None:
    if queue.guideline is None:
        return None
    return queue.guideline, get_guideline(session.workspace, queue.guideline).number


def _number(desk: Desk, given: int | None) -> int | None:
    """The version an answer was given under: the one on the screen, if there is such a one."""
    if desk.guideline is None:
        return None
    newest = desk.guideline[1]
    if given is None:
        return newest
    if not 1 <= given <= newest:
        raise InputError(f"a version of the guideline, 1 to {newest}", got=str(given))
    return given


def _assigned(item: Item, one: Assignment) -> Work:
    return Work(
        key=one.id,
        item_id=item.id,
        shown=item.shown or {},
        value=one.answer,
        begin=_begin(item.shown or {}),
        draft=one.draft,
        seconds=one.seconds or 0.0,
        comment=one.comment if one.state == "done" else "",
        flags=one.flags,
        state=one.state,
        is_training=item.role == "training",
    )


def _begin(shown: Mapping[str, Json]) -> dict[str, Json]:
    """A text to be corrected is what its field begins with."""
    replies = shown.get("replies") or []
    return {ANSWER: replies[0]["text"]} if len(replies) == 1 else {}


def _corrected(session: Session, found: Correction) -> Work:
    item = found.item
    shown = {
        "turns": turns_of(found.conversation),
        "replies": [{"key": "a", "text": found.reply}],
        "suggestion": found.suggestion,
    }
    return Work(
        key=item.id,
        item_id=item.id,
        shown=shown,
        value=item.answer,
        begin=_begin_correction(session, found),
        seconds=item.seconds or 0.0,
        state=item.state,
        about=found,
    )


def _begin_correction(session: Session, found: Correction) -> dict[str, Json]:
    """What a user gave as right, else the texts that were served; closed choices are left open, so
    that each is somebody's own."""
    objective = session.project.objective
    form = form_of(objective, current_labels(session.workspace, objective))
    if found.suggestion is not None:
        return values_of(form, found.suggestion)
    if form.is_bare:
        return {ANSWER: found.reply} if form.fields[0].kind == "text" else {}
    read = parse_reply(found.reply, objective, ())
    served = read if isinstance(read, Mapping) else {}
    return {one.name: served[one.name] for one in form.fields
            if one.kind in ("text", "number", "json") and one.name in served}  # fmt: skip


def _own_correction(session: Session, key: str, person: str) -> Item:
    item = get_item(session.workspace, key)
    theirs = item.leased_by if item.state == "leased" else item.answered_by
    if item.queue != CORRECTIONS or theirs not in (None, person, "bulk"):
        raise NotFound("the id of one of your items", got=repr(key[:60]))
    return item
