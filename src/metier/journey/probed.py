"""What the probes of a run measured, for those who judge it.

with_probes(workspace, report)      # the report with what the probes of its run measured
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from metier.core import ledger
from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.records import EvaluationReport, Probe
from metier.core.types import Estimate
from metier.core.workspace import Workspace
from metier.journey.judged import with_judged
from metier.journey.panelled import with_panels

Kind = Literal["forgetting", "memorisation", "calibration", "robustness", "parity"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EXPORTS = "exports"
"""The kind of what `metier parity` found: evidence, with no metric that a target could name."""
METRICS: Mapping[Kind, tuple[str, ...]] = {
    "forgetting": (
        "general_ability_drop",
        "general_loss_increase",
        "general_ability",
        "general_loss",
    ),
    "memorisation": ("canary_exposure", "canary_extraction_rate", "sealed_extraction_rate"),
    "calibration": (
        "ece",
        "ece_adaptive",
        "ece_tempered",
        "brier",
        "abstention_precision",
        "abstention_coverage",
    ),
    "robustness": ("robustness_drop",),
    "parity": ("parity",),
}
"""What each kind measures, by the names that targets and constraints use."""


def kinds_of(names: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds of the given names; "all" stands for every one.

    Raises InputError naming the nearest kind.
    """
    if "all" in names:
        return KINDS
    for name in names:
        if name not in KINDS:
            raise InputError("a probe", got=repr(name), remedy=nearest(name, [*KINDS, "all"]))
    return tuple(kind for kind in KINDS if kind in names)


def asked_kinds(objective: Objective) -> tuple[Kind, ...]:
    """Return the kinds whose metrics targets or constraints of the evaluate stage name."""
    named = {
        one.metric for one in (*objective.target, *objective.constraint) if one.stage == "evaluate"
    }
    return tuple(kind for kind in KINDS if named & set(METRICS[kind]))


def probes_of(ws: Workspace, run_id: str) -> list[Probe]:
    """Return the newest probe of each kind of a run, in the order of the kinds; exports last."""
    newest = {probe.kind: probe for probe in ledger.list_probes(ws, run_id=run_id)}
    return [newest[kind] for kind in (*KINDS, EXPORTS) if kind in newest]


def with_probes(ws: Workspace, report: EvaluationReport) -> EvaluationReport:
    """Return the report with the metrics that the probes of its run measured, and with what judges
    and panels found of its replies.

    What the report measured itself stays; a report that nothing else was measured of stays as it
    is.
    """
    report = with_panels(ws, with_judged(ws, report))
    if report.run_id is None:
        return report
    found: dict[str, Estimate] = {}
    for probe in probes_of(ws, report.run_id):
        if probe.version_id == report.version_id:
            found |= probe.metrics
    return replace(report, metrics={**found, **report.metrics})
