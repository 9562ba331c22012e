"""What the stages leave behind for one another: versions, runs, reports, releases, served replies.

Stages never import each other; they meet through these records and the artifacts they point to.
How they are stored and found again is in ``metier.core.ledger``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from metier.core.types import Completion, Conversation, Estimate, Example, Json

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
    """Paired difference ``a - b`` of one metric on the same items.

    ``p_adjusted`` is the p-value corrected for the comparisons made beside it (None: it stands
    alone); ``detectable`` the least true difference that these items show 80% of the time.
    """

    metric: str
    a: str
    b: str
    estimate: Estimate
    p_value: float
    p_adjusted: float | None = None
    detectable: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One candidate's look at a sealed test set: its ``number`` (from 1) of ``budget``.

    ``spent`` counts the looks at that test set so far, those of later candidates included.
    """

    number: int
    budget: int
    spent: int

    @property
    def allowed(self) -> bool:
        """Whether the budget had room for it."""
        return self.number <= self.budget

    @property
    def left(self) -> int:
        """How many more there are."""
        return max(0, self.budget - self.spent)

    def __str__(self) -> str:
        return f"look {self.number} of {self.budget}"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a measurement beside the test set found: side effects of tuning, whether a metric or a
    judge agrees with people, a learning curve, ...

    ``kind`` names the measurement, ``subject`` what it is about (a run's id, a metric's name);
    ``metrics`` are the numbers that targets can name, ``detail`` everything else.
    """

    id: str
    created_at: datetime
    kind: str
    subject: str
    version_id: str | None
    run_id: str | None
    metrics: Mapping[str, Estimate]
    detail: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Release:
    """A model version: what a run left, with everything that shapes its answers.

    ``number`` counts from 1 and is never given twice (shown as ``v3``); ``manifest`` is the
    artifact that holds it all (``metier.registry.Manifest``); ``gate`` the decision that was made.
    """

    id: str
    number: int
    created_at: datetime
    run_id: str
    version_id: str
    evaluation_id: str
    base: str
    base_fingerprint: str
    adapter: str
    manifest: str
    gate: Mapping[str, Json]

    @property
    def name(self) -> str:
        """The name people use: ``v3``."""
        return f"v{self.number}"


InteractionState = Literal["done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Interaction:
    """One served reply, de-identified; its id is the key that feedback comes under.

    ``model`` is what was asked for (an alias, a release or an upstream); ``replies`` holds one
    text per choice (the OpenAI ``n``), ``settings`` the sampling and the finish reasons;
    ``confidence`` is the probability the model gave its closed-set answer (None: none to give);
    ``guards`` names the guardrails that were hit; ``user`` is the keyed hash of who asked;
    ``sealed_id`` is the sealed row of the identifiers that were replaced. Times are in seconds.
    """

    id: str
    created_at: datetime
    model: str
    release_id: str | None
    state: InteractionState
    asked: Conversation
    replies: tuple[str, ...]
    settings: Mapping[str, Json]
    input_tokens: int = 0
    output_tokens: int = 0
    total_s: float = 0.0
    first_token_s: float | None = None
    confidence: float | None = None
    guards: tuple[str, ...] = ()
    user: str | None = None
    sealed_id: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """One thing that was said about a reply. ``seq`` counts per reply and metric from 1; the
    highest counts, the others are history. ``value`` is a boolean, number or de-identified text
    (for a demonstration in a structured task: an object)."""

    id: str
    created_at: datetime
    interaction_id: str
    metric: str
    seq: int
    value: Json
    tags: Mapping[str, str]
    actor: str
    sealed_id: str | None = None


FEEDBACK = "feedback"
"""The source of cases: its path, and the digest in their provenance."""
REGRESSION = "regression"
"""The split that holds a copy of every failed case, to measure on; absent while there is none."""
CASE_SLICE = "case"
"""The slice of those copies: "learned" (trained on) or "held_back"."""
ERASED = "[erased]"
"""What stands in place of a text that was erased."""
LOSS_WEIGHT = "loss_weight"
"""The slice of training rows that holds what their loss weighs, where that is not 1."""


@dataclass(frozen=True, slots=True)
class Case:
    """A served reply with the answer that would have been right, as an example.

    ``held_back`` cases are only ever measured on; the others are learned from too. ``failed``:
    the reply was wrong (a case from the random audit sample may have been right).
    """

    example: Example
    created_at: datetime
    interaction_id: str
    item_id: str
    release_id: str | None
    held_back: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Cycle:
    """One round of the journey and what its stages left so far. ``asked`` is a hash of what it was
    started with (settings and cases): another one is reason for another cycle."""

    id: str
    number: int
    started_at: datetime
    finished_at: datetime | None
    asked: str
    version_id: str | None = None
    run_id: str | None = None
    evaluation_id: str | None = None
    regression_id: str | None = None
    release_id: str | None = None
