"""What a report is made of: records of the stages, and what was read from the workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from metier.core.objective import Objective
from metier.core.records import (
    DataVersion,
    Difference,
    EvaluationReport,
    MetricPoint,
    Probe,
    TuneRun,
)
from metier.evaluate.failures.find import Failures
from metier.evaluate.verdict import Verdict
from metier.evaluate.worst import WorstExample
from metier.journey.movement import Movement


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """The records one report tells of. ``reports`` are of one split of ``version``; ``probes`` are
    of the tuned run."""

    project: str
    objective: Objective
    version: DataVersion
    reports: Sequence[EvaluationReport]
    differences: Sequence[Difference]
    verdict: Verdict
    runs: Sequence[TuneRun] = ()
    movement: Movement = field(default_factory=lambda: Movement((), {}))
    probes: Sequence[Probe] = ()
    failures: Failures | None = None


@dataclass(frozen=True, slots=True)
class LineageRow:
    """One thing in the chain of custody, with the id ``metier lineage`` takes."""

    kind: str
    id: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What is read from the workspace for the report: curves by run id, bad answers, sources."""

    generated_at: datetime
    curves: Mapping[str, Sequence[MetricPoint]] = field(default_factory=dict)
    worst: Sequence[WorstExample] = ()
    sources: Sequence[LineageRow] = ()
    software: Mapping[str, str] = field(default_factory=dict)
