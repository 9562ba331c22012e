"""Fill the page: read what the workspace knows of a project's reports, and write one HTML file."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from markupsafe import Markup

from metier import __version__
from metier.core.ledger import load_predictions, load_split, metric_points
from metier.core.records import EvaluationReport
from metier.core.workspace import Workspace
from metier.evaluate.measures import grade_items
from metier.evaluate.turns import every_turn
from metier.evaluate.worst import WorstExample, worst_examples
from metier.journey.report import numbers, origin, views
from metier.journey.report.cycles import cycles_view
from metier.journey.report.failures import failures_view
from metier.journey.report.inputs import LineageRow, ReportFacts, ReportInputs
from metier.journey.report.probes import probes_view
from metier.journey.report.templating import environment, template

TEXT_CHARS = 700
SOFTWARE = ("metier", "torch", "transformers", "peft", "trl", "scikit-learn")


def build_report(ws: Workspace, inputs: ReportInputs, *, worst: int = 12) -> str:
    """Return the report as one HTML document that loads nothing.

    ``worst`` bounds the answers shown. Curves, examples and predictions are read from ``ws``.
    """
    judged = judged_report(inputs)
    facts = ReportFacts(
        generated_at=datetime.now(UTC),
        curves={run.id: metric_points(ws, run.id) for run in inputs.runs},
        worst=_worst(ws, inputs, judged, worst) if judged else (),
        sources=_sources(ws, inputs),
        software=_software(),
    )
    return render(inputs, facts)


def judged_report(inputs: ReportInputs) -> EvaluationReport | None:
    """Return the report the verdict is about: the candidate's, or the best baseline's."""
    wanted = inputs.verdict.candidate or inputs.verdict.best_baseline
    return next((report for report in inputs.reports if report.id == wanted), None)


def render(inputs: ReportInputs, facts: ReportFacts) -> str:
    """Return the HTML; a pure function of its arguments."""
    judged = judged_report(inputs)
    reports, verdict = inputs.reports, inputs.verdict
    levels = [e.level for report in reports for e in report.metrics.values()]
    page: dict[str, Any] = {
        "project": inputs.project,
        "metier_version": __version__,
        "generated": f"{facts.generated_at:%d %B %Y}",
        "task": views.objective_words(inputs.objective),
        "version": inputs.version,
        "verdict": verdict,
        "decision": views.DECISIONS[verdict.decision],
        "level": f"{levels[0]:.0%}" if levels else "95%",
        "split": judged.split if judged else "test",
        "judged": f"{views.rung_name(judged)}, {judged.n:,} {judged.split} items" if judged else "",
        "tiles": views.summary_tiles(verdict, reports, inputs.differences),
        "targets": views.target_rows(verdict.results),
        "ladder": views.ladder(reports, verdict),
        "metric_table": views.metric_table(reports),
        "warnings": views.warnings(reports, verdict.metric),
        "differences": views.difference_rows(inputs.differences, reports, verdict.metric),
        "cycles": cycles_view(inputs.movement),
        "probes": probes_view(inputs.probes),
        "failures": failures_view(inputs.failures),
        "runs": origin.run_views(inputs.runs, facts),
        "confusions": views.confusions(judged) if judged else [],
        "class_tables": views.class_tables(judged) if judged else [],
        "worst": [_case(case) for case in facts.worst],
        "data": origin.data_view(inputs.version),
        "lineage": origin.lineage_rows(inputs, facts, judged),
        "method": origin.method_rows(inputs, facts, judged),
        "style": Markup(template("style.css")),
    }
    page["sections"] = _sections(page)
    return environment().get_template("page.html.j2").render(page)


def _sections(page: Mapping[str, Any]) -> list[tuple[str, str]]:
    every = [
        ("verdict", "Verdict", True),
        ("objective", "Objective", True),
        ("cycles", "Cycles", page["cycles"]["shown"]),
        ("baselines", "Baselines", True),
        ("differences", "Is the gain real?", page["differences"]["rows"]),
        ("training", "Training", page["runs"]),
        ("effects", "Side effects", page["probes"]["shown"]),
        ("failures", "Where it fails", page["failures"]["shown"]),
        ("confusion", "Confusions", page["confusions"]),
        ("classes", "Classes", page["class_tables"]),
        ("worst", "Worst answers", page["worst"]),
        ("data", "Data card", True),
        ("lineage", "Lineage", True),
        ("method", "Method", True),
    ]
    return [(anchor, name) for anchor, name, shown in every if shown]


def _case(case: WorstExample) -> dict[str, str]:
    return {
        "text": numbers.short(case.text, TEXT_CHARS),
        "expected": numbers.short(numbers.answer(case.expected), TEXT_CHARS),
        "got": numbers.short(numbers.answer(case.got), TEXT_CHARS),
        "why": case.why,
        "score": numbers.number(case.score),
        "example_id": case.example_id,
        "prediction_id": case.prediction_id,
    }


def _worst(
    ws: Workspace, inputs: ReportInputs, judged: EvaluationReport, limit: int
) -> list[WorstExample]:
    predictions = load_predictions(ws, judged)
    examples = load_split(ws, inputs.version, judged.split)
    texts = {example.id: example.conversation.last_user for example in every_turn(examples)}
    grades = grade_items(inputs.objective, predictions)
    return worst_examples(judged, predictions, texts, grades, limit)


def _sources(ws: Workspace, inputs: ReportInputs) -> list[LineageRow]:
    """Return the sources lineage knows of, with the hash that the data card has of each."""
    digests = {one["path"]: one["digest"] for one in inputs.version.card.get("sources", [])}
    rows = []
    for node in ws.lineage.trace(inputs.version.id, "up"):
        if node.ref.kind == "source":
            known = [d for path, d in digests.items() if node.label.startswith(str(path))]
            detail = f"hash {known[0]}" if known else ""
            rows.append(LineageRow("Source", node.ref.id, node.label, detail))
    return rows


def _software() -> dict[str, str]:
    found = {}
    for name in SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    machine = f"{platform.system()} {platform.machine()}"
    return {"Software": f"{listed}, Python {platform.python_version()}, {machine}"}
