"""What the page shows, as rows: records in, plain dictionaries for the template out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from metier.core.objective import Objective
from metier.core.records import Confusion, Difference, EvaluationReport, MetricPoint
from metier.core.types import Estimate
from metier.evaluate.verdict import Verdict
from metier.journey.report import numbers, svg
from metier.scoring.goals.targets import TargetResult
from metier.scoring.tasks import shown_info

Row = dict[str, Any]
RARE_UNDER = 5
TABLE_CLASSES = 10
CLASSES_SHOWN = 20
PAIRS_SHOWN = 15
DENSE_SHARE = 0.6
STATES = {
    "passed": ("✓", "passed"),
    "failed": ("✕", "failed"),
    "not_enough_data": ("?", "not enough data"),
    "open": ("○", "open"),
    "reference_missing": ("–", "reference missing"),
    "untrusted": ("–", "not validated"),
}
DECISIONS = {
    "tuning_pays": ("good", "Tuning pays"),
    "dont_tune": ("bad", "Don't tune"),
    "no_baseline": ("unsure", "Unproven"),
    "not_tuned": ("unsure", "Baselines only"),
    "nothing_measured": ("unsure", "Nothing measured"),
}
RUNGS = {
    "keyword": "Keyword rules",
    "tfidf": "TF-IDF classifier",
    "nearest": "Nearest training example",
    "lead": "First sentences",
    "zero_shot": "Base model, zero-shot",
    "few_shot": "Base model, few-shot",
    "rag": "Base model with documents",
    "rag_few_shot": "Base model with documents, few-shot",
    "tuned_rag": "Tuned model with documents",
    "tuned": "Tuned model",
}


def rung_name(report: EvaluationReport) -> str:
    """Return the rung in words."""
    return RUNGS.get(report.rung, report.rung)


def unit_of(metric: str) -> str:
    """Return the unit a metric's numbers carry."""
    return shown_info(metric.partition("@")[0]).unit


def target_rows(results: Sequence[TargetResult]) -> list[Row]:
    """Return one row per target and constraint."""
    rows = []
    for result in results:
        mark, state = STATES[result.state]
        unit = unit_of(result.metric) if result.measured else ""
        rows.append(
            {
                "kind": result.kind,
                "asked": result.asked,
                "stage": result.stage,
                "measured": numbers.interval(result.measured, unit),
                "n": result.measured.n if result.measured else numbers.DASH,
                "goal": numbers.number(result.goal, unit),
                "gap": numbers.number(result.gap, unit, signed=True),
                "state": result.state,
                "state_words": state,
                "mark": mark,
                "detail": _detail(result.words),
                "reference": (result.reference or "").replace("_", " "),
                "deciding": _deciding(result, unit),
            }
        )
    return rows


def _detail(words: str) -> str:
    """Return what follows the state's name, as a sentence."""
    rest = words.partition(": ")[2]
    return rest[:1].upper() + rest[1:] + "." if rest else ""


def _deciding(result: TargetResult, unit: str) -> str:
    if result.deciding is None or result.deciding == result.measured:
        return ""
    return numbers.interval(result.deciding, unit, signed=True)


def ladder(reports: Sequence[EvaluationReport], verdict: Verdict) -> Row:
    """Return the chart of the verdict's metric over the rungs, with cost and speed."""
    goal = next((r.goal for r in verdict.results if r.about == verdict.metric), None)
    marks = {verdict.candidate: "candidate", verdict.best_baseline: "best"}
    return ladder_of(reports, verdict.metric, marks, goal)


def ladder_of(
    reports: Sequence[EvaluationReport],
    metric: str,
    marks: Mapping[str | None, str] = MappingProxyType({}),
    goal: float | None = None,
) -> Row:
    """Return the chart of one metric; ``marks`` are CSS classes by report id."""
    unit = unit_of(metric)
    found = [report.metrics[metric] for report in reports if metric in report.metrics]
    bounds = chart_bounds(metric, found)
    rows = []
    for report in reports:
        estimate = report.metrics.get(metric)
        if estimate is None:
            continue
        mark = marks.get(report.id, "")
        rows.append(
            {
                "rung": rung_name(report),
                "completer": report.completer,
                "mark": mark,
                "value": numbers.interval(estimate, unit),
                "n": estimate.n,
                "bar": Markup(svg.interval_bar(estimate, bounds, mark, goal)),
                "p95": _metric(report, "latency_p95_s"),
                "tokens": _tokens(report),
                "usd": numbers.usd(report.usd_per_1000),
                "settings": numbers.setting(dict(report.settings.get("chosen", {}))),
            }
        )
    ticks = [numbers.tick(bounds[0] + (bounds[1] - bounds[0]) * part) for part in (0, 0.5, 1)]
    return {"metric": metric, "rows": rows, "ticks": ticks, "goal": goal, "about": _about(metric)}


def chart_bounds(metric: str, estimates: Sequence[Estimate]) -> svg.Bounds:
    """Return the limits of a chart: 0 to 1 for shares, from 0 to the largest otherwise."""
    info = shown_info(metric)
    if info.low == 0 and info.high is not None:
        return (0.0, float(info.high))
    return (0.0, svg.nice_bounds([v for e in estimates for v in (e.value, e.low, e.high)])[1])


def metric_table(reports: Sequence[EvaluationReport]) -> Row:
    """Return every metric of every rung with its interval."""
    names = list(dict.fromkeys(name for report in reports for name in report.metrics))
    rows = [
        {"metric": name, "about": _about(name), "cells": [_metric(r, name) for r in reports]}
        for name in names
    ]
    return {"rungs": [rung_name(report) for report in reports], "rows": rows}


def warnings(reports: Sequence[EvaluationReport], metric: str) -> list[str]:
    """Return what a reader must know before trusting the numbers; what all rungs share, once."""
    said: dict[str, list[str]] = {}
    for report in reports:
        estimate = report.metrics.get(metric)
        notes = (*report.warnings, *(estimate.warnings if estimate else ()))
        for words in dict.fromkeys(notes):
            said.setdefault(words, []).append(rung_name(report))
    shared = len(reports) if len(reports) > 1 else 0
    return [
        f"{'Every rung' if len(names) == shared else ', '.join(names)}: {words}"
        for words, names in said.items()
    ]


def difference_rows(
    differences: Sequence[Difference], reports: Sequence[EvaluationReport], metric: str
) -> Row:
    """Return paired differences of one metric, candidate minus each baseline."""
    by_id = {report.id: report for report in reports}
    shown = [d for d in differences if d.metric == metric and {d.a, d.b} <= by_id.keys()]
    limits = [v for d in shown for v in (d.estimate.low, d.estimate.high, d.estimate.value, 0.0)]
    bounds = svg.nice_bounds(limits)
    rows = [
        {
            "a": rung_name(by_id[d.a]),
            "b": rung_name(by_id[d.b]),
            "value": numbers.interval(d.estimate, unit_of(metric), signed=True),
            "dot": Markup(svg.interval_dot(d.estimate, bounds, _side(d))),
            "p": numbers.p_words(d.p_value),
            "n": d.estimate.n,
        }
        for d in shown
    ]
    ticks = [numbers.tick(value, signed=True) for value in bounds]
    return {"rows": rows, "ticks": ticks, "metric": metric}


def _side(difference: Difference) -> str:
    sign = 1 if shown_info(difference.metric).higher_is_better else -1
    if sign * difference.estimate.low > 0 and sign * difference.estimate.high > 0:
        return "good"
    if sign * difference.estimate.low < 0 and sign * difference.estimate.high < 0:
        return "bad"
    return "unsure"


def curves(points: Sequence[MetricPoint]) -> list[Row]:
    """Return the learning curves of one run: the losses in one plot, other series each alone."""
    series: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        series.setdefault(point.name, []).append((point.step, point.value))
    losses = {name: values for name, values in series.items() if name.endswith("loss")}
    plots = [("Loss", losses)] if losses else []
    plots += [(name, {name: v}) for name, v in series.items() if name not in losses]
    return [_plot(title, found) for title, found in plots]


def _plot(title: str, series: Mapping[str, list[tuple[float, float]]]) -> Row:
    ordered = {name: sorted(points) for name, points in series.items()}
    heights = [y for points in ordered.values() for _, y in points]
    bounds = svg.nice_bounds(heights, within=(0.0, None) if min(heights) >= 0 else (None, None))
    steps = [x for points in ordered.values() for x, _ in points]
    return {
        "title": title.replace("_", " "),
        "plot": Markup(svg.line_plot(ordered, bounds)),
        "top": numbers.tick(bounds[1]),
        "bottom": numbers.tick(bounds[0]),
        "first": f"{min(steps):g}",
        "last": f"{max(steps):g}",
        "series": [_ends(name, points) for name, points in ordered.items()],
        "main": title == "Loss",
    }


def _ends(name: str, points: Sequence[tuple[float, float]]) -> Row:
    step, best = min(points, key=lambda point: point[1])
    return {
        "name": name.replace("_", " "),
        "first": numbers.number(points[0][1]),
        "last": numbers.number(points[-1][1]),
        "lowest": numbers.number(best),
        "at": f"{step:g}",
        "n": len(points),
    }


def confusions(report: EvaluationReport) -> list[Row]:
    """Return one heat map per closed field, as a table where it is small enough to read."""
    return [_confusion(field, found) for field, found in report.confusion.items()]


def _confusion(field: str, found: Confusion) -> Row:
    columns = [*found.labels, "no answer"]
    pairs: Counter[tuple[str, str]] = Counter()
    for i, label in enumerate(found.labels):
        for j, count in enumerate(found.counts[i]):
            if count and columns[j] != label:
                pairs[label, columns[j]] += count
    small = len(found.labels) <= TABLE_CLASSES
    totals = [sum(row) for row in found.counts]
    return {
        "field": field,
        "small": small,
        "columns": columns,
        "rows": [
            {
                "label": label,
                "total": totals[i],
                "cells": [
                    {"count": count, "hit": i == j, **_shade(count, totals[i])}
                    for j, count in enumerate(found.counts[i])
                ],
            }
            for i, label in enumerate(found.labels)
        ],
        "map": "" if small else _heat_map(field, found, columns),
        "pairs": [
            {"expected": a, "got": b, "count": n, "of": totals[found.labels.index(a)]}
            for (a, b), n in pairs.most_common(PAIRS_SHOWN)
        ],
    }


def _shade(count: int, total: int) -> Row:
    """Return a cell's opacity and whether its number is light.

    Middling shades are left out: neither dark nor light text reads well on them.
    """
    share = count / total if total else 0.0
    dense = share > DENSE_SHARE
    opacity = 0.85 + 0.15 * share if dense else 0.12 + 0.6 * share
    return {"opacity": f"{opacity:.2f}", "dense": dense}


def _heat_map(field: str, found: Confusion, columns: Sequence[str]) -> Markup:
    title = f"Confusion matrix {field}".strip()
    return Markup(svg.heat_map(found.labels, columns, found.counts, title))


def class_tables(report: EvaluationReport) -> list[Row]:
    """Return per-class figures per field, worst first; rare classes apart."""
    tables = []
    for field, classes in report.per_class.items():
        found_names = dict.fromkeys(name for found in classes.values() for name in found)
        names = sorted(found_names, key=lambda name: name != "f1")
        main = names[0] if names else ""
        support = class_support(report, field)
        rows: list[Row] = [
            {
                "label": label,
                "n": support.get(label, max((e.n for e in found.values()), default=0)),
                "share": Markup(svg.share_bar(found[main].value if main in found else 0.0)),
                "cells": [numbers.interval(found.get(name)) for name in names],
                "value": found[main].value if main in found else 0.0,
            }
            for label, found in classes.items()
        ]
        rows.sort(key=lambda row: (row["value"], row["label"]))
        limit = int(report.settings.get("rare_class_items", RARE_UNDER))
        common = [row for row in rows if row["n"] >= limit]
        tables.append(
            {
                "field": field,
                "names": names,
                "common": common[:CLASSES_SHOWN],
                "more": common[CLASSES_SHOWN:],
                "rare": [row for row in rows if row["n"] < limit],
                "limit": limit,
            }
        )
    return tables


def class_support(report: EvaluationReport, field: str) -> dict[str, int]:
    """Return how many test items each class has; {} where no confusion matrix is kept."""
    found = report.confusion.get(field)
    if found is None:
        return {}
    return {label: sum(row) for label, row in zip(found.labels, found.counts, strict=True)}


def summary_tiles(
    verdict: Verdict, reports: Sequence[EvaluationReport], differences: Sequence[Difference]
) -> list[Row]:
    """Return the four numbers a reader in a hurry should see."""
    by_id = {report.id: report for report in reports}
    judged = by_id.get(verdict.candidate or verdict.best_baseline or "")
    best = by_id.get(verdict.best_baseline or "")
    if judged is None or verdict.metric not in judged.metrics:
        return []
    unit, estimate = unit_of(verdict.metric), judged.metrics[verdict.metric]
    tiles = [_tile(f"{verdict.metric}, {rung_name(judged)}", estimate, unit, f"n = {estimate.n}")]
    found = [d for d in differences if best and (d.metric, d.b) == (verdict.metric, best.id)]
    if best and found and found[0].a == judged.id:
        note = f"paired on {found[0].estimate.n} items, p {numbers.p_words(found[0].p_value)}"
        title = f"difference to the best baseline, {rung_name(best)}"
        tiles.append(_tile(title, found[0].estimate, unit, note, signed=True))
    reached = [result for result in verdict.results if result.state != "open"]
    if reached:
        passed = sum(result.state == "passed" for result in reached)
        tiles.append(
            {
                "title": "targets and constraints passed",
                "value": f"{passed} of {len(reached)}",
                "interval": f"{len(verdict.results) - len(reached)} open",
                "note": "judged on the bound of the interval",
            }
        )
    p95 = judged.metrics.get("latency_p95_s")
    tiles.append(
        {
            "title": "cost of 1,000 replies",
            "value": numbers.usd(judged.usd_per_1000),
            "interval": f"p95 latency {numbers.interval(p95, 's')}" if p95 else "",
            "note": "at the project's prices, on this machine",
        }
    )
    return tiles


def _tile(title: str, estimate: Estimate, unit: str, note: str, signed: bool = False) -> Row:
    whole = numbers.interval(estimate, unit, signed)
    value, _, rest = whole.partition(" [")
    return {"title": title, "value": value, "interval": "[" + rest if rest else "", "note": note}


def objective_words(objective: Objective) -> str:
    """Return the task in words, with its labels or fields."""
    if objective.task == "structured":
        fields = [*objective.enum_fields, *objective.text_fields]
        return f"structured reply with {', '.join(fields)}"
    if isinstance(objective.labels, list):
        return f"{objective.task} into {len(objective.labels)} labels"
    return objective.task


def _metric(report: EvaluationReport, name: str) -> str:
    return numbers.interval(report.metrics.get(name), unit_of(name))


def _tokens(report: EvaluationReport) -> str:
    found = [report.metrics.get(name) for name in ("input_tokens_mean", "output_tokens_mean")]
    return " / ".join(numbers.tick(e.value) if e else numbers.DASH for e in found)


def _about(metric: str) -> str:
    return shown_info(metric.partition("@")[0]).description
