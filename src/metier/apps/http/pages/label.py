"""Label: people give the right answers to replies that failed, one at a time, by keyboard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.forms import form_fields, read_form
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, show
from metier.apps.http.pages.words import (
    reason_words,
    release_names,
    reply_value,
    said_rows,
    turn_rows,
)
from metier.core.errors import InputError
from metier.core.types import Json
from metier.feedback.correct import correct_item
from metier.feedback.labels import current_labels
from metier.feedback.types import CORRECTIONS, Work
from metier.feedback.work import next_work, show_items
from metier.journey.report import numbers
from metier.queue import Item, get_item, list_items, skip_item

router = APIRouter(route_class=PageRoute, dependencies=[may("annotate")])
RECENT = 10
SKIPS = ("cannot tell", "outside what I know", "nothing to answer", "other")


@router.get("/label")
def label_page(request: Request, site: Here, who: Who, item: str = "") -> Response:
    """Show the next item, or one that was answered before."""
    view = desk_view(site, who.id, item)
    return show(request, "work.html.j2" if is_partial(request) else "label.html.j2", **view)


@router.get("/label/peek")
def peek_part(request: Request, site: Here, who: Who, after: str) -> Response:
    """Show what is likely to come after an item, so that it is on the screen at once."""
    return show(request, "peek.html.j2", **peek_view(site, who.id, after))


@router.post("/label/{item_id}")
async def save_answer(request: Request, site: Here, item_id: str, who: Who) -> Response:
    """Store the right answer and show the next item."""
    form, worker = await request.form(), who.id
    answer = read_form(site.session.project.objective, form)
    await run_in_threadpool(
        correct, site, worker, item_id, answer, read_seconds(str(form.get("seconds", "")))
    )
    return await run_in_threadpool(_next, request, site, worker)


@router.post("/label/{item_id}/skip")
def skip(
    request: Request,
    site: Here,
    item_id: str,
    who: Who,
    reason: Annotated[str, Form()] = SKIPS[0],
) -> Response:
    """Put the item aside and show the next one."""
    worker = who.id
    skip_item(site.session.workspace, item_id, worker, reason)
    return _next(request, site, worker)


def read_seconds(text: str) -> float | None:
    """Return the time an answer took, in seconds; None where the page could not measure it."""
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError("seconds as a number", got=repr(text[:20])) from None


def correct(site: Site, worker: str, item_id: str, answer: Json, seconds: float | None) -> None:
    """Store one answer, which makes a case. Raises as ``correct_item`` does."""
    session = site.session
    ws, objective = session.workspace, session.project.objective
    labels = current_labels(ws, objective)
    correct_item(ws, session.project.feedback, objective, labels, item_id, worker, answer, seconds)


def desk_view(site: Site, worker: str, item_id: str = "") -> Row:
    """Return one item with its form, how far the queue is, and what this person did last.

    Without ``item_id`` the next item is leased. Raises NotFound for an item that is not there.
    """
    session = site.session
    ws, objective = session.workspace, session.project.objective
    labels = current_labels(ws, objective)
    correctable = objective.task != "extract"
    work: Work | None = None
    if item_id:
        work = show_items(ws, objective, labels, [get_item(ws, item_id)])[0]
    elif correctable:
        work = next_work(ws, objective, labels, worker)
    items = list_items(ws, CORRECTIONS)
    recent = recent_rows(items, worker, None if work is None else work.item)
    return {
        "worker": worker,
        "correctable": correctable,
        "progress": progress_row(items),
        "recent": recent,
        "undo": undo_id(items, worker, None if work is None else work.item),
        "desk": None if work is None else work_row(site, work),
        "skips": SKIPS,
    }


def peek_view(site: Site, worker: str, after: str) -> Row:
    """Return the item that is likely to come next; nothing is leased for it."""
    session = site.session
    ws, objective = session.workspace, session.project.objective
    waiting = [
        one
        for one in list_items(ws, CORRECTIONS)
        if one.id != after
        and (one.state == "open" or (one.state == "leased" and one.leased_by == worker))
    ]
    waiting.sort(key=lambda one: one.state != "leased")
    works = show_items(ws, objective, current_labels(ws, objective), waiting[:1])
    return {"desk": work_row(site, works[0]) if works else None, "skips": SKIPS, "undo": None}


def work_row(site: Site, work: Work) -> Row:
    """Return what a person needs to give the right answer, and the form for it."""
    session = site.session
    objective, config = session.project.objective, session.project.feedback
    labels = current_labels(session.workspace, objective)
    item, interaction = work.item, work.interaction
    known = item.answer if item.answer is not None else work.suggestion
    names = release_names(session.workspace)
    return {
        "item": item,
        "turns": turn_rows(work.conversation),
        "reply": reply_value(objective, labels, work.reply),
        "interaction": interaction,
        "by": names.get(interaction.release_id or "", interaction.model),
        "reasons": [reason_words(one) for one in item.reasons],
        "confidence": numbers.number(interaction.confidence),
        "said": said_rows(config, work.feedback),
        "suggestion": work.suggestion,
        "again": item.state in ("done", "skipped"),
        "fields": form_fields(objective, labels, known, work.reply),
    }


def progress_row(items: list[Item]) -> Row:
    """Return how many items there are in each state."""
    counts = {state: sum(one.state == state for one in items) for state in
              ("open", "leased", "done", "skipped")}  # fmt: skip
    closed = counts["done"] + counts["skipped"]
    return {"counts": counts, "closed": closed, "total": len(items)}


def closed_by(items: list[Item], worker: str) -> list[Item]:
    """Return the last ten items this person answered or skipped, newest first."""
    never = datetime.min.replace(tzinfo=UTC)
    mine = [one for one in items if one.answered_by == worker and one.answered_at]
    return sorted(mine, key=lambda one: one.answered_at or never, reverse=True)[:RECENT]


def undo_id(items: list[Item], worker: str, now: Item | None) -> str | None:
    """Return the item to go back to: the last that was closed before the one on the screen."""
    at = now.answered_at if now is not None else None
    mine = closed_by(items, worker)
    return next((o.id for o in mine if at is None or (o.answered_at and o.answered_at < at)), None)


def recent_rows(items: list[Item], worker: str, now: Item | None) -> list[Row]:
    """Return what this person closed last, newest first, without the item on the screen."""
    return [
        {
            "id": one.id,
            "state": one.state,
            "words": numbers.short(" ".join(numbers.answer(one.answer).split()), 40)
            if one.state == "done"
            else f"skipped: {one.note}",
            "seconds": one.seconds,
        }
        for one in closed_by(items, worker)
        if now is None or one.id != now.id
    ]


def _next(request: Request, site: Site, worker: str) -> Response:
    if not is_partial(request):
        return go("/label")
    return show(request, "work.html.j2", **desk_view(site, worker))
