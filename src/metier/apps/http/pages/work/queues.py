"""Queues: what waits for whom, how far each is, and making one."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from metier.annotate.guidelines import list_guidelines
from metier.annotate.make import QueuePlan, Selection
from metier.annotate.select import WAYS
from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, show
from metier.apps.http.pages.work.training import trained_rows
from metier.core import ledger
from metier.core.errors import InputError, NotFound, UserError
from metier.feedback.types import CORRECTIONS
from metier.journey import desk as work_desk
from metier.journey.annotating import make_labelling, plan_queue
from metier.journey.labelled import freeze_queue, unfit_of
from metier.people import Person
from metier.queue import Queue, change_queue, get_queue, list_queues
from metier.queue.forms import form_from

router = APIRouter(route_class=PageRoute, dependencies=[may("annotate")])
NEWEST = 50
"""Evaluations and versions to choose from, the newest."""
WAY_WORDS = {
    "random": "at random",
    "stratified": "the same number of each label or slice",
    "uncertain": "where a model is unsure",
    "disagreeing": "where two models, or people, disagree",
    "weak_slice": "the slice with the lowest grade",
    "suspects": "rows that the quality report doubts",
    "baseline_failures": "what the untuned model gets wrong",
    "production_failures": "served replies that were called bad",
}
STATES = {"open": "Open", "paused": "Paused", "closed": "Closed"}


@router.get("/queues")
def queues_page(request: Request, site: Here, who: Who) -> Response:
    """Show the queues that this person may work in."""
    view: Row = {"queues": queue_rows(site, who), "may_make": who.may("build")}
    return show(request, "work/queues.html.j2", **view)


@router.get("/queues/new", dependencies=[may("build")])
def new_queue_page(request: Request, site: Here, who: Who) -> Response:
    """Show the form of a new queue."""
    return show(request, "work/new.html.j2", **new_view(site))


@router.post("/queues/preview", dependencies=[may("build")])
async def preview_part(request: Request, site: Here) -> Response:
    """Say how many items a queue would have; nothing is written."""
    try:
        plan = read_plan(await request.form())
        found = await run_in_threadpool(plan_queue, site.session, plan)
    except UserError as error:  # here, in the place of a count that no longer holds
        return show(request, "notice.html.j2", error=error)
    return show(request, "work/preview.html.j2", found=found, plan=plan)


@router.post("/queues", dependencies=[may("build")])
async def make_queue_page(request: Request, site: Here, who: Who) -> Response:
    """Make a queue."""
    plan = read_plan(await request.form())
    made = await run_in_threadpool(make_labelling, site.session, plan, who.id)
    return go(f"/queues/{quote(made.name)}")


@router.get("/queues/{name}")
def queue_page(request: Request, site: Here, who: Who, name: str) -> Response:
    """Show one queue: how it was made, how far it is, and what can be done with it."""
    return show(request, "work/queue.html.j2", **queue_view(site, who, name))


@router.post("/queues/{name}/state", dependencies=[may("build")])
def set_state(site: Here, who: Who, name: str, state: Annotated[str, Form()]) -> Response:
    """Open, pause or close a queue."""
    if state not in STATES:
        raise InputError(f"one of {', '.join(STATES)}", got=repr(state[:20]))
    change_queue(site.session.workspace, name, who.id, state=state)
    return go(f"/queues/{quote(name)}")


@router.get("/queues/{name}/freeze", dependencies=[may("build")])
def fold_part(request: Request, site: Here, who: Who, name: str) -> Response:
    """Say what freezing a queue would change; every answer is read for it."""
    found = freeze_queue(site.session, name, who.id, dry_run=True)
    template = "work/fold.html.j2" if is_partial(request) else "work/fold_page.html.j2"
    return show(request, template, frozen=found, name=name)


@router.post("/queues/{name}/freeze", dependencies=[may("build")])
def freeze_page(
    request: Request, site: Here, who: Who, name: str, partial: Annotated[bool, Form()] = False
) -> Response:
    """Make a data version of the settled answers."""
    found = freeze_queue(site.session, name, who.id, partial=partial)
    return show(request, "work/frozen.html.j2", found=found, name=name)


def queue_rows(site: Site, person: Person) -> list[Row]:
    """The queues this person may work in, those in which something waits for them first."""
    rows = [
        _row(site, person, one.name, one.title or one.name, one)
        for one in list_queues(site.session.workspace, "label")
        if _is_asked(one, person)
    ]
    corrections = _row(site, person, CORRECTIONS, "Corrections of served replies", None)
    if corrections["items"]:
        rows.append(corrections)
    return sorted(rows, key=lambda row: not row["waits"])


def queue_view(site: Site, person: Person, name: str) -> Row:
    """What is shown of one queue. Raises NotFound where a person has no part in it."""
    queue = get_queue(site.session.workspace, name)
    if queue.kind != "label" or not _is_asked(queue, person):
        raise NotFound("a queue of yours in which rows are labelled", got=repr(name[:60]))
    may_make = person.may("build")
    return {
        "queue": queue,
        "row": _row(site, person, name, queue.title or name, queue),
        "selection": queue.selection or {},
        "way": WAY_WORDS.get((queue.selection or {}).get("by", ""), ""),
        "form": form_from(queue.form),
        "settings": queue.settings or {},
        "states": STATES,
        "may_make": may_make,
        "may_look": person.may("look"),
        "decides": person.may("adjudicate"),
        "trained": trained_rows(site, queue) if may_make else [],
        "unfit": unfit_of(site.session, queue) if may_make else None,
    }


def new_view(site: Site) -> Row:
    """What can be chosen from when a queue is made."""
    ws = site.session.workspace
    evaluations = ledger.list_evaluations(ws)[-NEWEST:][::-1]
    return {
        "ways": [(way, WAY_WORDS[way]) for way in WAYS],
        "versions": [one for one in ledger.list_versions(ws)[-NEWEST:][::-1] if one.splits],
        "evaluations": evaluations,
        "guidelines": list_guidelines(ws),
        "queues": [one.name for one in list_queues(ws, "label")],
        "config": site.session.project.annotate,
        "task": site.session.project.objective.task,
    }


def read_plan(given: FormData) -> QueuePlan:
    """The plan that a form describes. Raises InputError for a number that is none."""

    def text(name: str, default: str = "") -> str:
        return str(given.get(name, default)).strip()

    def listed(name: str) -> tuple[str, ...]:
        return tuple(one.strip() for one in text(name).split(",") if one.strip())

    selection = Selection(
        by=_way(text("by", "random")),
        count=_whole(given, "count", 100),
        version=text("version") or ledger.LATEST,
        split=text("split") or "train",
        seed=_whole(given, "seed", 0),
        key=text("key") or "label",
        evaluation=text("evaluation"),
        other=text("other"),
        queue=text("queue"),
    )
    return QueuePlan(
        text("name"),
        selection,
        title=text("title"),
        wanted=_whole(given, "wanted", 2),
        blind=given.get("open") is None,
        suggest=given.get("suggest") is not None,
        guideline=text("guideline"),
        people=listed("people"),
        training=_whole(given, "training", 0),
        gold=_whole(given, "gold", 0),
        trusted=text("trusted") or "validation",
        labels=listed("labels"),
    )


def _way(text: str) -> Any:
    if text not in WAYS:
        raise InputError(f"one of {', '.join(WAYS)}", got=repr(text[:40]))
    return text


def _whole(given: FormData, name: str, default: int) -> int:
    text = str(given.get(name, "")).strip()
    if not text:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise InputError(f"{name} as a whole number", got=repr(text[:20]))
    return int(text)


def _is_asked(queue: Queue, person: Person) -> bool:
    return not queue.people or person.id in queue.people or person.may("build")


def _row(site: Site, person: Person, name: str, title: str, queue: Queue | None) -> Row:
    counts = work_desk.counts_of(site.session, name)
    asked = queue is None or not queue.people or person.id in queue.people
    waits = asked and work_desk.waits_for(site.session, name, person.id)
    closed = counts.answers + (counts.skipped if queue is None else 0)
    return {
        "name": name,
        "title": title,
        "state": "open" if queue is None else queue.state,
        "blind": queue is not None and queue.blind,
        "items": counts.items,
        "wanted": counts.wanted,
        "answers": min(closed, counts.wanted),
        "settled": counts.settled,
        "complete": counts.complete,
        "people": counts.people,
        "waits": waits,
        "asked": asked,
        "url": f"/annotate/{quote(name)}",
        "page": None if queue is None else f"/queues/{quote(name)}",
    }
