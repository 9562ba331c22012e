"""What panels found of a report's replies, for those who judge it."""

from __future__ import annotations

from dataclasses import replace

from metier.core import ledger
from metier.core.records import EvaluationReport
from metier.core.types import Estimate
from metier.core.workspace import Workspace

KIND = "panel"
"""The kind of probe that a panel's results are kept as; its subject is an evaluation."""


def with_panels(ws: Workspace, report: EvaluationReport) -> EvaluationReport:
    """Return the report with what panels found of it: of each number the newest.

    ``panel.empathy`` is a mean, ``panel.empathy - eval_…`` the difference to another candidate.
    """
    found: dict[str, Estimate] = {}
    for probe in ledger.list_probes(ws, KIND, subject=report.id):
        found |= probe.metrics
    return replace(report, metrics={**report.metrics, **found}) if found else report
