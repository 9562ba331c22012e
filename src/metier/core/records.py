"""What the stages leave behind for one another: data versions, runs, predictions, reports.

Stages never import each other; they meet through these records and the artifacts they point to.
How they are stored and found again is in ``metier.core.ledger``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from metier.core.types import Completion, Estimate, Json

RunState = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class DataVersion:
    """An immutable, hashed set of examples in splits. ``splits`` maps to Parquet artifacts."""

    id: str
    hash: str
    created_at: datetime
    counts: Mapping[str, int]
    splits: Mapping[str, str]
    labels: tuple[str, ...]
    card: Mapping[str, Json]
    config: Mapping[str, Json]
    looks_used: int = 0
    looks_budget: int = 5


@dataclass(frozen=True, slots=True)
class TuneRun:
    """One tuning run and the adapter it left. ``adapter`` is a tree artifact (PEFT layout)."""

    id: str
    version_id: str
    base: str
    state: RunState
    started_at: datetime
    finished_at: datetime | None
    config: Mapping[str, Json]
    adapter: str | None
    summary: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of one series at one optimiser step of a run."""

    step: int
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one Completer answered to one test example.

    ``parsed`` is the answer read back into the task's shape (None: could not be read);
    ``expected`` the same for the target.
    """

    id: str
    example_id: str
    completion: Completion
    parsed: Json
    expected: Json
    cluster: str
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts[i][j]: expected ``labels[i]``, got ``labels[j]``; the last column is "no answer"."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """One Completer measured on one split of one version.

    ``rung`` is the place in the ladder of baselines (keyword, tfidf, zero_shot, few_shot, tuned);
    ``metrics`` maps metric names to estimates (``field.metric`` for structured tasks);
    ``per_class`` and ``confusion`` are keyed by field ("" when the task has a single label).
    ``settings`` says what was chosen on validation. ``usd_per_1000`` uses the project's prices.
    """

    id: str
    created_at: datetime
    version_id: str
    split: str
    rung: str
    completer: str
    fingerprint: str
    run_id: str | None
    n: int
    metrics: Mapping[str, Estimate]
    per_class: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    confusion: Mapping[str, Confusion]
    settings: Mapping[str, Json]
    usd_per_1000: float
    predictions: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired difference ``a - b`` of one metric on the same items."""

    metric: str
    a: str
    b: str
    estimate: Estimate
    p_value: float
