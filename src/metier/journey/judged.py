"""What judges found, for those who decide: their numbers, and whether they may be believed.

A judge that changed since people's verdicts were held against it (model, prompt, dimensions,
settings) has agreed with nobody yet. A model that was replaced in the same folder, or behind the
same name at an endpoint, is not noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from metier.core import ledger
from metier.core.records import EvaluationReport, Probe
from metier.core.types import Estimate, digest
from metier.core.workspace import Workspace
from metier.evaluate.judge.agreement import AGREEMENT, doubt
from metier.evaluate.judge.config import JudgeConfig
from metier.evaluate.judge.prompts import rating_question
from metier.scoring.tasks import JUDGE, judge_info

JUDGED, AGREED = "judge", "judge_agreement"
COMMAND = "run `metier judge agreement --ratings FILE`"


def with_judged(ws: Workspace, report: EvaluationReport) -> EvaluationReport:
    """Return the report with what judges found of its replies, the newest of each number."""
    found: dict[str, Estimate] = {}
    for probe in ledger.list_probes(ws, JUDGED, subject=report.id):
        found |= {name: one for name, one in probe.metrics.items() if gates(name)}
    return replace(report, metrics={**found, **report.metrics}) if found else report


def gates(name: str) -> bool:
    """Whether a target can be about it: a judge's metric, not one about the judge."""
    return name.startswith(JUDGE) and judge_info(name) is not None


def judge_doubts(ws: Workspace, config: JudgeConfig, metrics: Iterable[str]) -> dict[str, str]:
    """Return, for each of the judges' ``metrics`` that may not gate, the reason in words."""
    found = {}
    for metric in metrics:
        if not config.model:
            found[metric] = "no judge is configured in [evaluate.judge]"
            continue
        probe = _agreed(ws, config, metric)
        why = doubt(probe.metrics if probe else {}, metric, config.min_agreement)
        if why:
            found[metric] = f"judge not validated: {why}; {COMMAND}"
    return found


def judge_names(config: JudgeConfig) -> str:
    """Return the judges' names, as their agreement is kept under."""
    return "+".join(one.name for one in config.model)


def config_print(config: JudgeConfig) -> str:
    """Hash over what the judges are, what they are told and how they are read."""
    told = rating_question([], {}).conversation.text
    return digest([told, config.model_dump(exclude={"min_agreement"})])


def _agreed(ws: Workspace, config: JudgeConfig, metric: str) -> Probe | None:
    """The newest agreement of today's judges on a metric."""
    wanted = config_print(config)
    found = [
        probe
        for probe in ledger.list_probes(ws, AGREED, subject=judge_names(config))
        if f"{metric}.{AGREEMENT}" in probe.metrics and probe.detail.get("fingerprint") == wanted
    ]
    return found[-1] if found else None
