"""Adjudicate: one disagreement at a time, the farthest apart first, by keyboard.

The answers are A, B, C without names, and which is which changes from item to item.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from metier.annotate.adjudicate import (
    Case,
    Decision,
    adjudicate,
    case_of,
    cases_of,
    may_decide,
    settle_agreed,
)
from metier.annotate.agreement import answers_mark
from metier.annotate.make import marked_text
from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.pages.views import viewed
from metier.apps.http.pages.work.desk import flag_words, turn_rows
from metier.apps.http.pages.work.draw import draw_fields, read_fields, value_words
from metier.apps.http.pages.work.images import image_of
from metier.core.errors import NotFound
from metier.core.types import Json
from metier.people import Person
from metier.queue import Assignment, Queue, get_queue, may_see_answers, queue_counts
from metier.queue.forms import Form, form_from

router = APIRouter(route_class=PageRoute, dependencies=[may("adjudicate")])
ANSWER_CHARS = 4000
KEYED = ascii_uppercase[:13]
"""Letters of answers that have a key; the later ones do other things."""


@dataclass(frozen=True)
class Asked:
    """Which case to show: ``item`` by id, else the first after ``after``; ``take`` is the letter
    whose answer the form begins with."""

    item: str = ""
    after: str = ""
    take: str = ""


@router.get("/adjudicate/{queue}")
def adjudicate_page(
    request: Request,
    site: Here,
    who: Who,
    queue: str,
    item: str = "",
    after: str = "",
    take: Annotated[str, Query(max_length=2)] = "",
) -> Response:
    """Show a disagreement with its answers, and the form for what holds."""
    view = adjudicate_view(site, who, queue, Asked(item, after, take))
    if view["case"]:
        viewed(request, view["case"]["item"])
    return show(request, "agree/adjudicate.html.j2", **view)


@router.get("/adjudicate/{queue}/{item_id}/image/{digest}")
def case_image(site: Here, who: Who, queue: str, item_id: str, digest: str) -> Response:
    """An image of a case, for who may see the case."""
    case = seen_case(site, who, queue, item_id)
    return image_of(site.session.workspace, case.item, digest)


@router.post("/adjudicate/{queue}/agreed")
def settle_page(site: Here, who: Who, queue: str) -> Response:
    """Settle all items on which everybody said the same."""
    settle_agreed(site.session.workspace, queue, who.id)
    return go(f"/adjudicate/{quote(queue)}")


@router.post("/adjudicate/{queue}/{item_id}")
async def decide_page(request: Request, site: Here, who: Who, queue: str, item_id: str) -> Response:
    """Store what holds, and show the next disagreement."""
    given = await request.form()
    await run_in_threadpool(_decide, site, who, queue, (item_id, given))
    return go(f"/adjudicate/{quote(queue)}")


def adjudicate_view(site: Site, who: Person, name: str, asked: Asked) -> Row:
    """Return the case to decide and how many there are. Raises NotFound."""
    ws = site.session.workspace
    queue = get_queue(ws, name)
    counts = queue_counts(ws, name)
    view: Row = {
        "queue": {"name": name, "url": quote(name), "title": queue.title or name},
        "guideline": queue.guideline,
        "counts": counts,
        "hidden": not may_see_answers(ws, name, who.id),
        "panel": queue.kind == "review",
        "left": 0,
        "agreed": 0,
        "case": None,
    }
    if view["hidden"] or view["panel"]:
        return view
    cases = kept_cases(site, queue)
    chosen = _chosen(cases, asked)
    if asked.item:
        chosen = _case_in(site, name, asked.item)
    agreed = site.keep(
        (*_mark(site, queue), "agreed"), lambda: settle_agreed(ws, name, "", dry_run=True)
    )
    return view | {
        "left": len(cases),
        "agreed": agreed,
        "next": _next_id(cases, chosen),
        "case": None if chosen is None else case_row(site, who, queue, chosen, asked.take),
    }


def seen_case(site: Site, who: Person, name: str, item_id: str) -> Case:
    """Return a case that the page would show this person.

    Raises NotFound for an item that is not of the queue, of a panel, or hidden from them while
    they still answer blind; Busy while answers are missing.
    """
    ws = site.session.workspace
    queue = get_queue(ws, name)
    if queue.kind == "review" or not may_see_answers(ws, name, who.id):
        raise NotFound("a queue that you may adjudicate", got=repr(name[:60]))
    return _case_in(site, name, item_id)


def _case_in(site: Site, name: str, item_id: str) -> Case:
    case = case_of(site.session.workspace, item_id)
    if case.item.queue != name:
        raise NotFound(f"the id of an item of {name}", got=repr(item_id[:60]))
    return case


def kept_cases(site: Site, queue: Queue) -> list[Case]:
    """Return the open disagreements, read again only when an answer or decision came."""
    ws = site.session.workspace
    return site.keep((*_mark(site, queue), "cases"), lambda: cases_of(ws, queue.name))


def case_row(site: Site, who: Person, queue: Queue, case: Case, take: str) -> Row:
    """Return one item with its answers under letters, and the form."""
    form = form_from(queue.form)
    marked = any(one.kind == "spans" for one in form.fields)
    why = may_decide(site.session.workspace, queue, case, who)
    shown: Mapping[str, Json] = case.item.shown or {}
    letters = ascii_uppercase[: len(case.answers)]
    taken = letters.find(take.upper()) if take else -1
    value = case.answers[taken].answer if taken >= 0 else case.item.answer if case.settled else None
    return {
        "item": case.item.id,
        "turns": turn_rows(shown, marked),
        "replies": shown.get("replies") or [],
        "source": shown.get("source") or [],
        "apart": case.apart,
        "settled": case.settled,
        "answers": [
            _said(form, one, letter, marked_text(shown)) | {"taken": place == taken}
            for place, (letter, one) in enumerate(zip(letters, case.answers, strict=True))
        ],
        "fields": draw_fields(form, value, {}),
        "why_not": why,
        "may_insist": why is not None and who.role == "owner",
    }


def _said(form: Form, one: Assignment, letter: str, text: str) -> Row:
    """Return one answer as it is shown; ``text`` is what stretches are marked in."""
    usable = one.answer is not None
    silent = flag_words(one.flags) or "no answer"
    return {
        "letter": letter,
        "key": letter.lower() if letter in KEYED else "",
        "words": value_words(form, one.answer, ANSWER_CHARS, text) if usable else silent,
        "comment": one.comment,
        "flagged": "flagged" in one.flags,
        "guideline": one.guideline_number,
        "usable": usable,
        "fill": json.dumps(filled(form, one.answer)),
    }


def filled(form: Form, value: Json) -> dict[str, str | list[str]]:
    """Return what each input of the form holds when it shows an answer: the chosen options, or the
    text of a field."""
    return {
        row["name"]: [o["value"] for o in row["options"] if o["chosen"]]
        if row["options"] and row["kind"] != "spans"
        else row["text"]
        for row in draw_fields(form, value, {})
    }


def _decide(site: Site, who: Person, name: str, what: tuple[str, FormData]) -> None:
    item_id, given = what
    ws = site.session.workspace
    queue = get_queue(ws, name)
    _case_in(site, name, item_id)
    decision = Decision(
        read_fields(form_from(queue.form), given),
        str(given.get("reason", "")),
        as_example=given.get("example") == "yes",
        insists=given.get("insist") == "yes",
    )
    adjudicate(ws, item_id, decision, who)


def _mark(site: Site, queue: Queue) -> tuple[str, ...]:
    ws = site.session.workspace
    settled = queue_counts(ws, queue.name).settled
    return ("adjudicate", queue.name, queue.state, answers_mark(ws, queue.name), str(settled))


def _chosen(cases: list[Case], asked: Asked) -> Case | None:
    ids = [one.item.id for one in cases]
    at = ids.index(asked.after) + 1 if asked.after in ids else 0
    return cases[at % len(cases)] if cases else None


def _next_id(cases: list[Case], now: Case | None) -> str:
    """Return the item after which the next one is asked for; "" where there is no other."""
    return now.item.id if now is not None and len(cases) > 1 else ""
