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
from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.pages.views import viewed
from metier.apps.http.pages.work.desk import flag_words, turn_rows
from metier.apps.http.pages.work.draw import draw_fields, read_fields, value_words
from metier.core.errors import NotFound
from metier.core.types import Json
from metier.people import Person
from metier.queue import Queue, get_queue, may_see_answers, queue_counts
from metier.queue.forms import Form, form_from

router = APIRouter(route_class=PageRoute, dependencies=[may("adjudicate")])
ANSWER_CHARS = 4000


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
        chosen = case_of(ws, asked.item)
        if chosen.item.queue != name:
            raise NotFound(f"the id of an item of {name}", got=repr(asked.item[:60]))
    agreed = site.keep(
        (*_mark(site, queue), "agreed"), lambda: settle_agreed(ws, name, "", dry_run=True)
    )
    return view | {
        "left": len(cases),
        "agreed": agreed,
        "next": _next_id(cases, chosen),
        "case": None if chosen is None else case_row(site, who, queue, chosen, asked.take),
    }


def kept_cases(site: Site, queue: Queue) -> list[Case]:
    """Return the open disagreements, read again only when an answer or decision came."""
    ws = site.session.workspace
    return site.keep((*_mark(site, queue), "cases"), lambda: cases_of(ws, queue.name))


def case_row(site: Site, who: Person, queue: Queue, case: Case, take: str) -> Row:
    """Return one item with its answers under letters, and the form."""
    form = form_from(queue.form)
    why = may_decide(site.session.workspace, queue, case, who)
    shown: Mapping[str, Json] = case.item.shown or {}
    letters = ascii_uppercase[: len(case.answers)]
    taken = letters.find(take.upper()) if take else -1
    value = case.answers[taken].answer if taken >= 0 else case.item.answer if case.settled else None
    return {
        "item": case.item.id,
        "turns": turn_rows(shown, marked=False),
        "replies": shown.get("replies") or [],
        "source": shown.get("source") or [],
        "apart": case.apart,
        "settled": case.settled,
        "answers": [
            {
                "letter": letter,
                "words": flag_words(one.flags) or "no answer"
                if one.answer is None
                else value_words(form, one.answer, ANSWER_CHARS),
                "comment": one.comment,
                "flagged": "flagged" in one.flags,
                "guideline": one.guideline_number,
                "usable": one.answer is not None,
                "taken": place == taken,
                "fill": json.dumps(filled(form, one.answer)),
            }
            for place, (letter, one) in enumerate(zip(letters, case.answers, strict=True))
        ],
        "fields": draw_fields(form, value, {}),
        "why_not": why,
        "may_insist": why is not None and who.role == "owner",
    }


def filled(form: Form, value: Json) -> dict[str, list[str]]:
    """Return what each input of the form holds when it shows an answer."""
    rows = draw_fields(form, value, {})
    return {
        row["name"]: [o["value"] for o in row["options"] if o["chosen"]]
        if row["options"] and row["kind"] != "spans"
        else [row["text"]]
        for row in rows
    }


def _decide(site: Site, who: Person, name: str, what: tuple[str, FormData]) -> None:
    item_id, given = what
    ws = site.session.workspace
    queue = get_queue(ws, name)
    if case_of(ws, item_id).item.queue != name:
        raise NotFound(f"the id of an item of {name}", got=repr(item_id[:60]))
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
