"""The lower half of the page: data card, lineage, training runs, how it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from metier.core.records import DataVersion, EvaluationReport, TuneRun
from metier.core.types import Json
from metier.journey.report import numbers, svg
from metier.journey.report.inputs import LineageRow, ReportFacts, ReportInputs
from metier.journey.report.views import Row, curves, rung_name

LABELS_SHOWN = 200
SUMMARY_SHOWN = 6


def data_view(version: DataVersion) -> Row:
    """Return the data card's counts, steps and label balance; what the card lacks is left out."""
    card = version.card
    splits: Mapping[str, Mapping[str, Json]] = card.get("splits", {})
    rows = card.get("rows", {})
    kept = sum(version.counts.values())
    read = (
        f"{rows['read']:,} rows read, {rows['kept']:,} kept, {rows['quarantined']:,} in quarantine "
        "with their reason. "
        if rows
        else f"{kept:,} rows. "
    )
    return {
        "summary": f"{read}{_cases(card.get('cases', {}))}Frozen {version.created_at:%d %B %Y}; a "
        "change makes a new version.",
        "steps": [_step(step) for step in card.get("steps", [])],
        "splits": [
            _split(name, count, splits.get(name, {})) for name, count in version.counts.items()
        ],
        "labels": _balance(splits, tuple(version.counts)),
        "split_names": tuple(version.counts),
    }


def _cases(cases: Mapping[str, Json]) -> str:
    """Say what became of corrected replies; nothing where there are none."""
    if not cases:
        return ""
    return (
        f"{cases['corrected']:,} served replies were looked at by people: {cases['learned']:,} "
        f"failures are learned from, {cases['held_back']:,} only measured, "
        f"{cases['confirmed_right']:,} replies were right, {cases['refused_for_leakage']:,} "
        "failures were refused for being too near a test row. "
    )


def _step(step: Mapping[str, Json]) -> Row:
    dropped = step.get("dropped", {})
    why = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in dropped.items())
    return {
        "name": str(step.get("step", "")).replace("_", " "),
        "seen": f"{step.get('seen', 0):,}",
        "kept": f"{step.get('kept', 0):,}",
        "changed": f"{step.get('changed', 0):,}",
        "dropped": why or "none",
    }


def _split(name: str, count: int, found: Mapping[str, Json]) -> Row:
    chars = found.get("prompt_chars") or {}
    return {
        "name": name,
        "rows": f"{count:,}",
        "groups": f"{found['groups']:,}" if found.get("groups") else numbers.DASH,
        "chars": f"{chars['median']:g}, {chars['p95']:g}" if chars else numbers.DASH,
    }


def _balance(splits: Mapping[str, Mapping[str, Json]], names: Sequence[str]) -> list[Row]:
    total: Counter[str] = Counter()
    for found in splits.values():
        total.update(found.get("labels", {}))
    everything = sum(total.values())
    return [
        {
            "label": label,
            "share": Markup(svg.share_bar(count / everything)),
            "counts": [splits.get(name, {}).get("labels", {}).get(label, 0) for name in names],
        }
        for label, count in total.most_common(LABELS_SHOWN)
    ]


def run_views(runs: Sequence[TuneRun], facts: ReportFacts) -> list[Row]:
    """Return the runs with their curves, newest first."""
    return [
        {
            "id": run.id,
            "base": run.base,
            "state": run.state,
            "summary": _summary(run.summary),
            "plots": curves(facts.curves.get(run.id, ())),
        }
        for run in sorted(runs, key=lambda run: run.started_at, reverse=True)
    ]


def _summary(summary: Mapping[str, Json]) -> str:
    plain = [
        f"{name.replace('_', ' ')} {numbers.setting(value)}"
        for name, value in summary.items()
        if isinstance(value, int | float | str) and len(str(value)) <= 40
    ]
    return ", ".join(plain[:SUMMARY_SHOWN])


def lineage_rows(
    inputs: ReportInputs, facts: ReportFacts, judged: EvaluationReport | None
) -> list[LineageRow]:
    """Return the chain from the sources to the predictions, with ids and hashes."""
    version, rows = inputs.version, list(facts.sources)
    counts = ", ".join(f"{name} {count:,}" for name, count in version.counts.items())
    rows.append(LineageRow("Data version", version.id, counts, f"hash {version.hash}"))
    runs = {run.id: run for run in inputs.runs}
    run = runs.get(judged.run_id or "") if judged else None
    if run is not None:
        detail = f"adapter {run.adapter}" if run.adapter else ""
        rows.append(LineageRow("Tuning run", run.id, f"base {run.base}", detail))
    if judged is not None:
        what = f"{rung_name(judged)} on {judged.n:,} {judged.split} items"
        rows.append(LineageRow("Evaluation", judged.id, what, f"completer {judged.fingerprint}"))
        rows.append(
            LineageRow("Predictions", judged.predictions, f"{judged.n:,}, each with its own id", "")
        )
    return rows


def method_rows(
    inputs: ReportInputs, facts: ReportFacts, judged: EvaluationReport | None
) -> list[tuple[str, str]]:
    """Return what another person needs to measure the same again."""
    rows: list[tuple[str, str]] = []
    if judged is not None:
        settings: Mapping[str, Any] = judged.settings
        estimate = next(iter(judged.metrics.values()), None)
        rows.append(("Items", _items(judged)))
        if estimate is not None:
            rows.append(("Intervals", f"{estimate.level:.0%}, {_methods(judged)}"))
        if "seed" in settings:
            rows.append(
                ("Resampling", f"{settings.get('resamples'):,} resamples, seed {settings['seed']}")
            )
        if settings.get("prompt"):
            rows.append(("Prompt", numbers.setting(settings["prompt"])))
        if settings.get("device"):
            rows.append(("Machine", str(settings["device"])))
    version = inputs.version
    looks = f"{version.looks_used} of {version.looks_budget} looks at the test split used"
    rows.append(("Test split", looks))
    rows += [(name, value) for name, value in facts.software.items()]
    rows.append(("Report made", f"{facts.generated_at:%Y-%m-%d %H:%M} UTC"))
    return rows


def _items(report: EvaluationReport) -> str:
    groups = max((e.clusters for e in report.metrics.values()), default=report.n)
    return f"{report.n:,} of split {report.split!r}, in {groups:,} independent groups"


def _methods(report: EvaluationReport) -> str:
    kinds = dict.fromkeys(
        e.method.partition(",")[0].partition(" on ")[0] for e in report.metrics.values() if e.method
    )
    return "; ".join(kinds) or "none"
