"""What a panel found: bars with intervals, differences, consistency, times, harms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup

from metier.apps.http.pages.allowed import NotAllowed, Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.pages.panel.posted import turns_shown
from metier.apps.http.pages.people.staff import link_to
from metier.core.ledger.harms import resolve_harm
from metier.core.types import Estimate
from metier.journey.inviting import invite_somebody
from metier.journey.panel_results import Correlated, close_panel, keep_results, project_results
from metier.journey.report import numbers, svg
from metier.people import (
    NewInvitation,
    Person,
    has_accounts,
    list_invitations,
    list_people,
)
from metier.queue import change_queue, clear_text, get_queue, iter_answers, may_see_answers
from metier.queue.types import Queue
from metier.review.panel import panel_of, read_subject
from metier.review.results import DimensionResult, PanelResults, Wins, reference_of

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
STATES = {"open": "open", "pause": "paused", "close": "closed"}
SHOWN = 12


@router.get("/review/{panel}/results")
def results_page(request: Request, site: Here, who: Who, panel: str) -> Response:
    """Show a panel's results, to those who have nothing left to say in it."""
    return panel_page(request, site, who, panel)


@router.post("/review/{panel}/guests")
def invite_outside(
    request: Request,
    site: Here,
    who: Who,
    panel: str,
    days: Annotated[float | None, Form()] = None,
) -> Response:
    """Make a link by which one person from outside rates in this panel, and show it, once."""
    if not who.may("manage"):
        raise NotAllowed("someone who may manage", got=f"{who.name}, whose role is {who.role}")
    lasts = site.session.project.people.invitation_days if days is None else days
    made, secret = invite_somebody(
        site.session, NewInvitation("guest", queue=panel, days=lasts), who.id
    )
    link = {"link": link_to(request, site, secret), "until": made.expires_at}
    return panel_page(request, site, who, panel, link)


@router.post("/review/{panel}/state")
def change_state(
    site: Here, who: Who, panel: str, state: Annotated[str, Form()] = "keep"
) -> Response:
    """Pause, open or close a panel; closing keeps its results for the gate."""
    _builds(who)
    if state == "close":
        close_panel(site.session, panel, who.id)
    elif state in STATES:
        change_queue(site.session.workspace, panel, who.id, state=STATES[state])
    else:
        keep_results(site.session, panel, who.id)
    return go(f"/review/{panel}/results")


@router.post("/review/{panel}/harms/{harm}")
def resolve(
    site: Here,
    who: Who,
    panel: str,
    harm: str,
    reason: Annotated[str, Form(max_length=5000)] = "",
) -> Response:
    """Resolve a report of harm, with the reason."""
    _builds(who)
    resolve_harm(site.session.workspace, harm, who.id, clear_text(reason))
    return go(f"/review/{panel}/results#harms")


def panel_page(
    request: Request, site: Site, who: Person, name: str, link: Row | None = None
) -> Response:
    """A panel's page: its results, or that they wait for what this person has yet to say."""
    queue = get_queue(site.session.workspace, name)
    guests = guests_row(site, who, queue, link)
    if not may_see_answers(site.session.workspace, name, who.id):
        return show(request, "panel/wait.html.j2", queue=queue, guests=guests)
    view = results_view(site, who, name) | {"guests": guests}
    return show(request, "panel/results.html.j2", **view)


def guests_row(site: Site, who: Person, queue: Queue, link: Row | None) -> Row | None:
    """What inviting people from outside takes; None for a panel that is not for them, and for
    those who may not invite."""
    ws = site.session.workspace
    if not who.may("manage") or not panel_of(queue).guests:
        return None
    theirs = [one for one in list_invitations(ws) if one.queue == queue.name]
    joined = [one for one in list_people(ws) if one.queue == queue.name]
    return {
        "accounts": has_accounts(ws),
        "days": site.session.project.people.invitation_days,
        "waiting": len(theirs),
        "joined": len(joined),
        "link": link,
    }


def results_view(site: Site, who: Person, name: str) -> Row:
    """Return everything that a panel found, with its drawings."""
    whole = project_results(site.session, name)
    found = whole.found
    return {
        "queue": found.queue,
        "panel": found.panel,
        "found": found,
        "builds": who.may("build"),
        "reference": reference_of(found.panel),
        "dimensions": [dimension_row(one) for one in found.dimensions],
        "wins": [_win_row(one) for one in found.wins if _once(found, one)],
        "people": people_rows(found),
        "handling": found.handling,
        "ratio": estimate_words(found.handling.ratio) if found.handling else "",
        "harms": harm_rows(site, found),
        "correlations": correlation_rows(whole.correlations),
        "warnings": _warnings(found),
    }


def dimension_row(one: DimensionResult) -> Row:
    """One dimension: a bar per candidate, and the differences to the references."""
    bounds = (float(one.low), float(one.high))
    means = sorted(one.report.candidates, key=lambda each: -each.corrected.value)
    reach = max((abs(end) for gap in one.differences
                 for end in (gap.estimate.low, gap.estimate.high) if math.isfinite(end)),
                default=1.0)  # fmt: skip
    return {
        "name": one.name.replace("_", " ").capitalize(),
        "low": one.low,
        "high": one.high,
        "n": one.report.items,
        "ratings": one.report.ratings,
        "panel_error": numbers.number(one.report.panel_error),
        "rows": [
            {
                "candidate": each.candidate,
                "bar": Markup(svg.interval_bar(each.corrected, bounds, "candidate")),
                "corrected": estimate_words(each.corrected),
                "raw": estimate_words(each.raw),
                "n": each.raw.n,
            }
            for each in means
        ],
        "gaps": [
            {
                "words": f"{gap.first} less {gap.second}",
                "value": estimate_words(gap.estimate, signed=True),
                "n": gap.estimate.n,
                "dot": Markup(svg.interval_dot(gap.estimate, (-reach, reach), side(gap.estimate))),
                "side": side(gap.estimate),
            }
            for gap in one.differences
        ],
        "severities": [
            {
                "rater": each.rater,
                "words": estimate_words(each.severity, signed=True),
                "n": each.ratings,
                "misfit": numbers.number(each.misfit),
            }
            for each in one.report.raters
        ],
    }


def side(one: Estimate) -> str:
    """Good where the whole interval is above zero, bad where it is below."""
    if math.isfinite(one.low) and one.low > 0:
        return "good"
    return "bad" if math.isfinite(one.high) and one.high < 0 else "open"


def estimate_words(one: Estimate, *, signed: bool = False) -> str:
    """``3.42 [3.20, 3.61]``; without an interval it says so."""
    mark = "+" if signed else ""
    if not math.isfinite(one.value):
        return "undefined"
    if not math.isfinite(one.low):
        return f"{one.value:{mark}.2f}, no interval"
    return f"{one.value:{mark}.2f} [{one.low:{mark}.2f}, {one.high:{mark}.2f}]"


def people_rows(found: PanelResults) -> list[Row]:
    """Each rater: how much they did, and how well they agree with themselves."""
    own = {one.person: one for one in found.consistency}
    return [
        {
            "person": person,
            "answers": count,
            "n": own[person].n if person in own else 0,
            "exact": estimate_words(own[person].exact) if person in own else numbers.DASH,
            "kappa": estimate_words(own[person].kappa) if person in own else numbers.DASH,
        }
        for person, count in sorted(found.counts.people.items())
    ]


def harm_rows(site: Site, found: PanelResults) -> list[Row]:
    """Every report of harm with what was on the screen; the open ones first."""
    wanted = {one.item_id for one in found.harms}
    items = {}
    if wanted:
        for item, _ in iter_answers(site.session.workspace, found.queue.name):
            if item.id in wanted:
                items[item.id] = item
    names = {one.evaluation: one.name for one in found.panel.candidates}
    rows = []
    for harm in sorted(found.harms, key=lambda one: (one.resolved_at is not None, one.id)):
        about = items.get(harm.item_id)
        shown = (about.shown or {}) if about else {}
        keys = read_subject(about.subject_id)[0] if about else ()
        evaluations = [found.panel.candidate(key).evaluation for key in keys]
        place = evaluations.index(harm.candidate) if harm.candidate in evaluations else 0
        replies = shown.get("replies") or [{"text": shown.get("suggestion") or ""}]
        rows.append(
            {
                "harm": harm,
                "candidate": names.get(harm.candidate, harm.candidate),
                "turns": turns_shown(shown.get("turns", [])),
                "reply": replies[min(place, len(replies) - 1)]["text"],
            }
        )
    return rows


def correlation_rows(found: Sequence[Correlated]) -> list[Row]:
    """Metrics by dimension, the closest to the panel first; those that cannot be had last."""
    best: dict[str, float] = {}
    for one in found:
        if one.estimate is not None:
            best[one.metric] = max(best.get(one.metric, -1.0), one.estimate.value)
    rows = []
    for metric in sorted(best, key=lambda name: -best[name])[:SHOWN]:
        cells = {one.dimension: one for one in found if one.metric == metric}
        rows.append({"metric": metric, "cells": [_cell(one) for one in cells.values()]})
    return rows


def _cell(one: Correlated) -> Row:
    if one.estimate is None:
        return {"words": numbers.DASH, "n": 0, "why": one.why, "dimension": one.dimension}
    return {"words": estimate_words(one.estimate), "n": one.estimate.n, "why": "",
            "dimension": one.dimension}  # fmt: skip


def _once(found: PanelResults, one: Wins) -> bool:
    """Each pair once: against the reference, else in the order of the candidates."""
    reference = reference_of(found.panel)
    order = [each.name for each in found.panel.candidates]
    if reference in (one.first, one.second):
        return one.second == reference
    return order.index(one.first) < order.index(one.second)


def _win_row(one: Wins) -> Row:
    return {
        "first": one.first,
        "second": one.second,
        "rate": estimate_words(one.rate),
        "win": f"{one.win.value:.0%}",
        "tie": f"{one.tie.value:.0%}",
        "loss": f"{one.loss.value:.0%}",
        "win_words": estimate_words(one.win),
        "tie_words": estimate_words(one.tie),
        "loss_words": estimate_words(one.loss),
        "n": one.rate.n,
        "bar": Markup(svg.interval_bar(one.rate, (0.0, 1.0), "candidate", goal=0.5)),
    }


def _warnings(found: PanelResults) -> list[str]:
    notes = [note for one in found.dimensions for note in one.report.warnings]
    return list(dict.fromkeys(notes))


def _builds(who: Person) -> None:
    if not who.may("build"):
        raise NotAllowed("someone who may build", got=f"{who.name}, whose role is {who.role}")
