"""Agreement: of each queue how far its people agree, in a number, in words, and where they do not.

Shown to those who may look at results or decide disagreements, and, of a blind queue they work in,
not before they are done with it.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from metier.annotate.agreement import (
    AgreementReport,
    QuestionAgreement,
    agreement_of,
    answers_mark,
)
from metier.apps.http.pages.agree.names import called
from metier.apps.http.pages.allowed import NotAllowed, Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.core.types import Estimate
from metier.journey.report import numbers, svg
from metier.people import Person
from metier.queue import Queue, get_queue, list_queues, may_see_answers, queue_counts
from metier.scoring.statistics.agreement_pairs import Confusion

router = APIRouter(route_class=PageRoute, dependencies=[may("look", "adjudicate")])
MOST_LABELS = 16
"""Labels of the heat map: those that are confused most; the table would not be read otherwise."""
HEATS = 6
LEADS = {
    "Agreement": "How far people who answer the same items agree.",
    "Adjudicate": "Where people disagree: decide what holds, and say why.",
}
PILLS = {"good": "good", "tentative": "unsure", "poor": "bad", "unclear": "unsure",
         "undefined": "open"}  # fmt: skip
SAYS = {"good": "reliable", "tentative": "tentative", "poor": "not reliable",
        "unclear": "cannot be told yet", "undefined": "not defined"}  # fmt: skip


@router.get("/adjudicate")
@router.get("/agreement")
def queues_page(request: Request, site: Here, who: Who) -> Response:
    """List the queues whose agreement can be looked at."""
    refuse(who)
    title = request.url.path.strip("/").capitalize()
    view: Row = {"queues": queue_rows(site, who), "title": title, "lead": LEADS[title]}
    return show(request, "agree/queues.html.j2", **view)


@router.get("/agreement/{queue}")
def agreement_page(
    request: Request,
    site: Here,
    who: Who,
    queue: str,
    days: Annotated[int, Query(ge=1, le=365)] = 7,
) -> Response:
    """Show how far the people of one queue agree."""
    refuse(who)
    return show(request, "agree/agreement.html.j2", **agreement_view(site, who, queue, days))


def refuse(who: Person) -> None:
    """Raise NotAllowed for people who neither look at results nor adjudicate."""
    if not (who.may("look") or who.may("adjudicate")):
        raise NotAllowed(
            "someone who may look at results, or adjudicate",
            got=f"{who.name}, whose role is {who.role}",
            remedy="ask an owner of this project for another role",
        )


def queue_rows(site: Site, who: Person) -> list[Row]:
    """Return the queues in which several people answer, newest first."""
    ws = site.session.workspace
    rows = []
    for one in list_queues(ws):
        if one.kind not in ("label", "review"):
            continue
        counts = queue_counts(ws, one.name)
        rows.append(
            {
                "name": one.name,
                "url": quote(one.name),
                "title": one.title or one.name,
                "kind": one.kind,
                "answers": counts.answers,
                "wanted": counts.wanted,
                "people": len(counts.people),
                "settled": counts.settled,
                "all": counts.items,
                "open": may_see_answers(ws, one.name, who.id),
                "decides": one.kind == "label" and who.may("adjudicate"),
            }
        )
    return rows


def agreement_view(site: Site, who: Person, name: str, days: int = 7) -> Row:
    """Return one queue's agreement as the page shows it. Raises NotFound."""
    ws = site.session.workspace
    queue = get_queue(ws, name)
    view: Row = {
        "queue": {"name": name, "url": quote(name), "title": queue.title or name},
        "days": days,
        "decides": queue.kind == "label" and who.may("adjudicate"),
        "hidden": not may_see_answers(ws, name, who.id),
        "report": None,
        "questions": [],
    }
    if view["hidden"]:
        return view
    report = kept_report(site, queue, days)
    names = called(ws, report.people, who)
    people = [{"name": names[one], "answers": count} for one, count in report.people.items()]
    found = [question_row(one, names) for one in report.questions]
    return view | {"report": report, "people": people, "questions": found}


def kept_report(site: Site, queue: Queue, days: int) -> AgreementReport:
    """Return the report, measured again only when an answer came or changed."""
    ws = site.session.workspace
    key = ("agreement", queue.name, queue.state, days, answers_mark(ws, queue.name))
    return site.keep(key, lambda: agreement_of(ws, queue.name, days))


def question_row(one: QuestionAgreement, names: dict[str, str]) -> Row:
    """Return one question: headline, what stands beside it, labels, pairs, confusions, time."""
    reliance = one.reading.reliance
    return {
        "title": one.question.title or one.question.name,
        "name": one.question.name,
        "coefficient": one.coefficient,
        "pair_coefficient": one.pair_coefficient,
        "headline": estimate_row(one.headline),
        "pill": PILLS[reliance],
        "says": SAYS[reliance],
        "words": one.reading.words,
        "units": one.units,
        "answers": one.answers,
        "unsaid": one.unsaid,
        "more": [{"name": name} | estimate_row(found) for name, found in one.more.items()],
        "labels": [
            {"name": o.label, "given": o.given, "of": o.answers} | estimate_row(o.estimate)
            for o in sorted(one.labels, key=lambda o: _worst_first(o.estimate))
        ],
        "pairs": [
            {"first": names[o.first], "second": names[o.second]} | estimate_row(o.estimate)
            for o in sorted(one.pairs, key=lambda o: _worst_first(o.estimate))
        ],
        "left_out": one.pairs_left_out,
        "confusion": confusion_row(one.confusion),
        "windows": [
            {"days": days_words(w.start, w.end)} | estimate_row(w.estimate)
            for w in one.drift.windows
        ],
        "change": estimate_row(one.drift.change),
        "drift": one.drift.words,
        "retest": [
            {
                "name": names.get(o.person, o.person),
                "n": o.n,
                "exact": numbers.interval(o.exact),
                "within": numbers.interval(o.within_one) if o.within_one else None,
                "kappa": estimate_row(o.kappa),
            }
            for o in one.retest
        ],
    }


def days_words(start: datetime, end: datetime) -> str:
    """Return a window by its first and last day."""
    last = end - timedelta(days=1)
    return f"{start:%Y-%m-%d}" if last <= start else f"{start:%Y-%m-%d} to {last:%m-%d}"


def estimate_row(found: Estimate) -> Row:
    """Return an estimate for reading, with its drawing; or why there is none."""
    there = not math.isnan(found.value)
    return {
        "value": numbers.number(found.value),
        "interval": numbers.interval(found) if there else "not defined",
        "n": found.n,
        "why": "" if there else found.warnings[0],
        "notes": found.warnings,
        "method": found.method,
        "dot": Markup(svg.interval_dot(found, (-0.25, 1.0))) if there else "",
    }


def confusion_row(found: Confusion | None) -> Row | None:
    """Return the heat map of the labels that meet each other most, and the worst in words."""
    if found is None or not found.total:
        return None
    worst = found.most_confused(8)
    order = {
        label: n for n, label in enumerate(dict.fromkeys(x for a, b, _ in worst for x in (a, b)))
    }
    size = range(len(found.labels))
    met = [sum(found.counts[i]) for i in size]
    chosen = sorted(
        (i for i in size if met[i]),
        key=lambda i: (order.get(found.labels[i], len(order)), -met[i]),
    )[:MOST_LABELS]
    chosen.sort()
    most = max((found.counts[i][j] / met[i] for i in chosen for j in chosen if i != j), default=0.0)
    rows = [
        {
            "label": found.labels[i],
            "cells": [
                {
                    "count": found.counts[i][j],
                    "share": found.counts[i][j] / met[i],
                    "heat": heat(found.counts[i][j] / met[i], 1.0 if i == j else most),
                    "same": i == j,
                }
                for j in chosen
            ],
        }
        for i in chosen
    ]
    return {
        "labels": [found.labels[i] for i in chosen],
        "rows": rows,
        "worst": worst,
        "left_out": sum(met[i] > 0 for i in size) - len(chosen),
    }


def heat(share: float, most: float) -> int:
    """Return how dark a cell is, 0 (nothing) to ``HEATS`` - 1 (the most)."""
    return min(HEATS - 1, math.ceil(share / most * (HEATS - 1))) if most else 0


def _worst_first(found: Estimate) -> tuple[bool, float]:
    return math.isnan(found.value), found.value if not math.isnan(found.value) else 0.0
