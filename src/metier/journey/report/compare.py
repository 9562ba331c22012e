"""Compared evaluations as one HTML page, or as Markdown for a ticket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from metier import __version__
from metier.config import Project
from metier.core.records import Difference, EvaluationReport
from metier.journey.comparing import Compared, Flips, PairedItem
from metier.journey.report import numbers, svg, views
from metier.journey.report.templating import environment, template
from metier.scoring import mcnemar, primary_metric

Row = Mapping[str, Any]
FLIPS_SHOWN = 6
TEXT_CHARS = 700


def comparison_page(found: Compared, project: Project) -> str:
    """Return the page as one HTML document that loads nothing."""
    metric = primary_metric(project.objective)
    levels = [one.level for report in found.reports for one in report.metrics.values()]
    page = {
        "project": project.project.name,
        "task": views.objective_words(project.objective),
        "names": _names(found),
        "version": found.version_id,
        "split": found.split,
        "generated": f"{datetime.now(UTC):%d %B %Y}",
        "metier_version": __version__,
        "level": f"{levels[0]:.0%}" if levels else "95%",
        "ladder": views.ladder_of(found.reports, metric),
        "metric_table": views.metric_table(found.reports),
        "warnings": views.warnings(found.reports, metric),
        "differences": views.difference_rows(found.differences, found.reports, metric),
        "every_difference": list(_every_difference(found)),
        "flips": [_flips(found, one) for one in found.reports[1:]],
        "reliability": list(_reliability(found)),
        "systems": [
            {"confusions": views.confusions(one), "judged": f"{name}, {one.n:,} items"}
            for name, one in zip(_names(found), found.reports, strict=True)
        ],
        "style": Markup(template("style.css")),
    }
    return environment().get_template("compare.html.j2").render(page)


def comparison_markdown(found: Compared, project: Project) -> str:
    """Return metrics, paired differences and flips as Markdown tables."""
    names = _names(found)
    lines = [f"# {project.project.name}: {' against '.join(names)}", ""]
    lines += [f"{found.split} of data version `{found.version_id}`", ""]
    table = views.metric_table(found.reports)
    lines += _table(
        ["metric", *table["rungs"]], [[r["metric"], *r["cells"]] for r in table["rows"]]
    )
    lines += ["", f"## {names[0]} minus each other one, paired", ""]
    headers = ["metric", "minus", "difference", "p", "detectable", "n"]
    rows = [[row[key] for key in ("metric", "b", "value", "p", "detectable", "n")]
            for row in _every_difference(found)]  # fmt: skip
    lines += _table(headers, rows)
    for other in found.reports[1:]:
        one = found.flips[other.id]
        lines += ["", f"## What flipped between {names[0]} and {views.rung_name(other)}", ""]
        lines.append(_counts(one, names[0], views.rung_name(other)))
    return "\n".join(lines) + "\n"


def _names(found: Compared) -> list[str]:
    """Rungs in words; with the id's end where two have the same."""
    names = [views.rung_name(one) for one in found.reports]
    return [
        name if names.count(name) == 1 else f"{name} …{one.id[-6:]}"
        for name, one in zip(names, found.reports, strict=True)
    ]


def _every_difference(found: Compared) -> Iterator[Row]:
    names = dict(zip([one.id for one in found.reports], _names(found), strict=True))
    reach: dict[str, list[float]] = {}
    for one in found.differences:
        ends = (one.estimate.low, one.estimate.high, one.estimate.value, 0.0)
        reach.setdefault(views.unit_of(one.metric), []).extend(ends)
    for one in found.differences:
        bounds = svg.nice_bounds(reach[views.unit_of(one.metric)])
        yield {
            "metric": one.metric,
            "b": names[one.b],
            "dot": Markup(svg.interval_dot(one.estimate, bounds)),
            "value": numbers.interval(one.estimate, views.unit_of(one.metric), signed=True),
            "p": numbers.p_words(_p(one)),
            "detectable": numbers.number(one.detectable, views.unit_of(one.metric)),
            "n": one.estimate.n,
        }


def _p(one: Difference) -> float:
    return one.p_value if one.p_adjusted is None else one.p_adjusted


def _flips(found: Compared, other: EvaluationReport) -> Row:
    one = found.flips[other.id]
    return {
        "other": views.rung_name(other),
        "only_a": one.only_a,
        "only_b": one.only_b,
        "both": one.both,
        "neither": one.neither,
        "p": numbers.p_words(mcnemar(one.only_a, one.only_b)),
        "rows": [_item(item) for item in one.items[:FLIPS_SHOWN]],
        "more": max(0, len(one.items) - FLIPS_SHOWN),
    }


def _item(one: PairedItem) -> Row:
    return {
        "text": numbers.short(one.text, TEXT_CHARS),
        "expected": numbers.short(numbers.answer(one.expected), TEXT_CHARS),
        "a": numbers.short(numbers.answer(one.a), TEXT_CHARS),
        "b": numbers.short(numbers.answer(one.b), TEXT_CHARS),
        "grade_a": numbers.number(one.grade_a),
        "grade_b": numbers.number(one.grade_b),
        "example": one.example_id,
    }


def _counts(one: Flips, a: str, b: str) -> str:
    p_value = numbers.p_words(mcnemar(one.only_a, one.only_b))
    return (
        f"Only {a} right: {one.only_a}; only {b}: {one.only_b}; both right: {one.both}; "
        f"neither: {one.neither}; McNemar's exact p {p_value}."
    )


def _reliability(found: Compared) -> Iterator[Row]:
    for name, report in zip(_names(found), found.reports, strict=True):
        bins = found.reliability[report.id]
        total = sum(one.right.n for one in bins)
        if total:
            curve = [(one.confidence, one.right) for one in bins]
            shares = [(one.low, one.right.n / total) for one in bins]
            plot = Markup(svg.reliability([curve], shares))
            yield {"name": name, "n": total, "plot": plot}


def _table(headers: list[str], rows: list[list[Any]]) -> list[str]:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [headers, ["---"] * len(headers), *cells]
    return ["| " + " | ".join(row) + " |" for row in lines]
