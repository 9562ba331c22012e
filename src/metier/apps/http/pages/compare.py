"""Compare: two evaluations of the same items, paired, and where they differ most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show, when
from metier.apps.http.pages.overview import newest_version
from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import Difference, EvaluationReport
from metier.journey.comparing import PairedItem, compare_evaluations, paired_items
from metier.journey.report import numbers, svg
from metier.journey.report.cycles import side as side_of
from metier.journey.report.views import rung_name, unit_of
from metier.scoring import primary_metric
from metier.scoring.goals.targets import TUNED

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
Which = Literal["differ", "a", "b", "both_wrong"]
FILTERS = {
    "differ": "Answers differ",
    "a": "A is better",
    "b": "B is better",
    "both_wrong": "Both wrong",
}
SHOWN = 40
CLIP = 1200


@router.get("/compare")
def compare_page(
    request: Request,
    site: Here,
    a: str = "",
    b: str = "",
    which: Which = "differ",
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show two evaluations side by side."""
    return show(request, "compare.html.j2", **compare_view(site, a, b, which, q))


def compare_view(site: Site, a: str, b: str, which: Which, words: str) -> Row:
    """Return what can be compared, and of the chosen pair differences and examples.

    Without a choice: the newest tuned model beside the best other rung. Raises NotFound, and
    InputError when the two did not answer the same items.
    """
    ws = site.session.workspace
    reports = ledger.list_evaluations(ws)
    first, second = chosen_pair(site, reports, a, b)
    view: Row = {
        "options": option_rows(reports),
        "a": first,
        "b": second,
        "which": which,
        "q": words,
        "filters": FILTERS,
        "differences": None,
        "examples": [],
        "counts": {},
    }
    if first is None or second is None or first.id == second.id:
        return view
    key = ("compare", first.id, second.id)
    found = site.keep(key, lambda: compare_evaluations(site.session, [first.id, second.id]))
    pairs = site.keep((*key, "examples"), lambda: pair_rows(site, first, second))
    passing = {name: [one for one in pairs if passes(name, one, words)] for name in FILTERS}
    return view | {
        "differences": difference_rows(found.differences, site.session.project.objective),
        "counts": {name: len(rows) for name, rows in passing.items()},
        "items": len(pairs),
        "examples": passing[which][:SHOWN],
        "name_a": _named(first),
        "name_b": _named(second),
    }


def chosen_pair(
    site: Site, reports: Sequence[EvaluationReport], a: str, b: str
) -> tuple[EvaluationReport | None, EvaluationReport | None]:
    """Return the two that are asked for; what is not asked for is chosen to fit."""
    by_id = {one.id: one for one in reports}
    ws = site.session.workspace
    first = (by_id.get(a) or ledger.get_evaluation(ws, a)) if a else None
    second = (by_id.get(b) or ledger.get_evaluation(ws, b)) if b else None
    version = newest_version(site.session)
    fitting = [one for one in reports if version and one.version_id == version.id]
    tuned = [one for one in fitting if one.rung == TUNED and one.split == "test"]
    if first is None:
        first = tuned[-1] if tuned else fitting[-1] if fitting else None
    if second is None and first is not None:
        second = _other(first, reports, primary_metric(site.session.project.objective))
    return first, second


def option_rows(reports: Sequence[EvaluationReport]) -> list[Row]:
    """Return every evaluation, newest first, as a choice in words; grouped by version and split."""
    return [
        {
            "id": one.id,
            "group": f"{one.split} of {one.version_id}",
            "words": f"{rung_name(one)}, {when(one.created_at)}, n {one.n}, …{one.id[-6:]}",
        }
        for one in sorted(reports, key=lambda one: one.created_at, reverse=True)
    ]


def difference_rows(found: Sequence[Difference], objective: Objective) -> list[Row]:
    """Return paired differences a - b with their drawings, those that targets name marked.

    Metrics of one unit share a scale, with zero in its middle.
    """
    asked = {one.metric for one in (*objective.target, *objective.constraint)}
    asked.add(primary_metric(objective))
    reach: dict[str, float] = {}
    for one in found:
        ends = (one.estimate.low, one.estimate.high, one.estimate.value)
        widest = max((abs(end) for end in ends if math.isfinite(end)), default=0.0)
        reach[unit_of(one.metric)] = max(reach.get(unit_of(one.metric), 0.0), widest)
    return [_difference(one, reach[unit_of(one.metric)] or 1.0, asked) for one in found]


def _difference(one: Difference, reach: float, asked: set[str]) -> Row:
    side = side_of(one.estimate, one.metric)
    return {
        "metric": one.metric,
        "asked": one.metric in asked,
        "value": numbers.interval(one.estimate, unit_of(one.metric), signed=True),
        "n": one.estimate.n,
        "p": numbers.p_words(one.p_value),
        "side": side,
        "words": {"good": "A is better", "bad": "B is better"}.get(side, "cannot be told"),
        "dot": Markup(svg.interval_dot(one.estimate, (-1.05 * reach, 1.05 * reach), side)),
    }


def pair_rows(site: Site, a: EvaluationReport, b: EvaluationReport) -> list[Row]:
    """Return the items both answered, those on which their grades differ most first."""
    return [_pair(one) for one in paired_items(site.session, a, b)]


def passes(which: str, row: Row, words: str) -> bool:
    """Say whether an item belongs under a filter and holds the words."""
    if words and words.casefold() not in row["search"]:
        return False
    if which == "a":
        return bool(row["grade_a"] > row["grade_b"])
    if which == "b":
        return bool(row["grade_b"] > row["grade_a"])
    if which == "both_wrong":
        return bool(row["grade_a"] < 1 and row["grade_b"] < 1)
    return bool(row["a"] != row["b"])


def _pair(one: PairedItem) -> Row:
    parts = (one.text, *(numbers.answer(answer) for answer in (one.expected, one.a, one.b)))
    return {
        "example": one.example_id,
        "text": numbers.short(one.text, CLIP),
        "expected": one.expected,
        "a": one.a,
        "b": one.b,
        "grade_a": one.grade_a,
        "grade_b": one.grade_b,
        "words_a": numbers.number(one.grade_a),
        "words_b": numbers.number(one.grade_b),
        "prediction_a": one.prediction_a,
        "prediction_b": one.prediction_b,
        "search": "\n".join(parts).casefold(),
    }


def _other(
    first: EvaluationReport, reports: Sequence[EvaluationReport], metric: str
) -> EvaluationReport | None:
    same = [
        one
        for one in reports
        if (one.version_id, one.split) == (first.version_id, first.split)
        and one.id != first.id
        and one.rung != first.rung
        and metric in one.metrics
    ] or [
        one
        for one in reports
        if (one.version_id, one.split) == (first.version_id, first.split) and one.id != first.id
    ]
    return max(same, key=lambda one: one.metrics[metric].value if metric in one.metrics else -1.0,
               default=None)  # fmt: skip


def _named(report: EvaluationReport) -> str:
    return rung_name(report)
