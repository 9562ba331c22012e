"""The panels: what waits for this person; for those who build also a plan and a new panel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from metier.apps.http.pages.allowed import NotAllowed, Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.pages.panel.posted import turns_shown
from metier.core import ledger
from metier.core.errors import InputError, NotFound, UserError
from metier.journey.reviewing import (
    ROLES,
    PanelAsk,
    evaluations_elsewhere,
    list_panels,
    make_project_panel,
    plan_project_panel,
    preview_project_panel,
)
from metier.journey.verbs import newest_per_rung
from metier.people import Person
from metier.queue import queue_counts
from metier.queue.types import Queue
from metier.registry import aliases
from metier.review.answers import check_rater
from metier.review.left import left_for
from metier.review.panel import Mode
from metier.review.plan import Ask

router = APIRouter(route_class=PageRoute, dependencies=[may("review")])
UNTUNED = ("zero_shot", "few_shot")
"""What is compared where nothing is released yet."""
MODES: dict[Mode, str] = {
    "rate": "rate each reply on the rubric",
    "compare": "two replies side by side",
    "timed": "answer cases, with and without a draft",
}


@router.get("/review")
def panels_page(
    request: Request,
    site: Here,
    who: Who,
    detect: Annotated[float, Query(ge=0.01, lt=4)] = 0.3,
    mode: Mode = "rate",
    per_item: Annotated[int, Query(ge=1, le=20)] = 2,
    pool: Annotated[int, Query(ge=1, le=200)] = 5,
    candidates: Annotated[int, Query(ge=2, le=10)] = 2,
) -> Response:
    """List the panels this person rates in, and let those who build plan and make one."""
    if who.role == "guest":
        return go(f"/review/{who.queue}")
    ask = Ask(detect, mode, candidates, per_item, pool)
    return show(request, "panel/list.html.j2", **list_view(site, who, ask))


@router.post("/review")
def make(
    request: Request,
    site: Here,
    who: Who,
    name: Annotated[str, Form(max_length=100)] = "",
    candidates: Annotated[list[str] | None, Form()] = None,
    mode: Annotated[Mode, Form()] = "rate",
    items: Annotated[int, Form(ge=0, le=100_000)] = 50,
    raters: Annotated[int, Form(ge=1, le=20)] = 2,
    options: Annotated[list[str] | None, Form()] = None,
    action: Annotated[str, Form()] = "preview",
) -> Response:
    """Preview a panel, or make it."""
    if not who.may("build"):
        raise NotAllowed("someone who may build", got=f"{who.name}, whose role is {who.role}")
    chosen = set(options or ())
    ask = PanelAsk(
        name.strip(), tuple(candidates or ()), mode, items, raters=raters,
        guests="guests" in chosen, rate_both="rate_both" in chosen,
        reference_answer="reference" in chosen,
    )  # fmt: skip
    if action == "make":
        made = make_project_panel(site.session, ask, who.id)
        return go(f"/review/{made.name}/results")
    view = list_view(site, who, Ask(), ask)
    return show(request, "panel/list.html.j2", **view)


def list_view(site: Site, who: Person, ask: Ask, new: PanelAsk | None = None) -> Row:
    """Return the panels, the plan for ``ask``, and the preview of ``new``."""
    panels = list_panels(site.session)
    builds = who.may("build")
    view: Row = {
        "rows": [_row(site, who, one) for one in panels if builds or _rates(one, who)],
        "builds": builds,
        "looks": who.may("look"),
        "modes": MODES,
        "plan": None,
        "problem": None,
        "ask": ask,
        "new": new,
        "preview": None,
        "first": [],
        "choices": [],
    }
    if not builds:
        return view
    view["choices"] = candidate_choices(site)
    try:
        view["plan"] = plan_project_panel(site.session, ask)
    except InputError as error:
        view["problem"] = error
    if new is not None:
        found = preview_project_panel(site.session, new)
        view["preview"] = found
        view["first"] = [{**one, "turns": turns_shown(one["turns"])} for one in found.first]
    return view


def candidate_choices(site: Site) -> list[Row]:
    """What can be rated: aliases first, then the rungs of the latest version on its test split,
    then what was measured on others."""
    session = site.session
    try:
        version = ledger.get_version(session.workspace)
        rungs = [one.rung for one in newest_per_rung(session, version.id)]
    except UserError:  # no version yet
        return []
    named = aliases(session.workspace)
    found = [
        {"value": name, "words": f"{name} ({named[name].name})", "chosen": True}
        for name in ROLES[:2]
        if name in named
    ]
    found.append({"value": ROLES[2], "words": "best untuned baseline", "chosen": bool(found)})
    alone = () if len(found) > 1 else (*(one for one in UNTUNED if one in rungs), *rungs)[:2]
    found += [{"value": one, "words": one.replace("_", " "), "chosen": one in alone}
              for one in rungs]  # fmt: skip
    return found + [
        {"value": one.id, "words": f"{one.rung.replace('_', ' ')} on {one.split}", "chosen": False}
        for one in evaluations_elsewhere(session)
    ]


def _rates(queue: Queue, who: Person) -> bool:
    try:
        check_rater(queue, who)
    except NotFound:
        return False
    return queue.state in ("open", "paused")


def _row(site: Site, who: Person, queue: Queue) -> Row:
    ws = site.session.workspace
    counts = queue_counts(ws, queue.name)
    rates = _rates(queue, who)
    return {
        "queue": queue,
        "counts": counts,
        "share": counts.answers / counts.wanted if counts.wanted else 0.0,
        "left": left_for(ws, queue, who.id) if rates else None,
        "mode": MODES[(queue.settings or {})["mode"]],
    }
