"""The quality report of a version: everything that may be wrong with its rows, and who is in it.

    found = measure(examples, objective, config, progress)
    found.suspicions, found.metrics, found.balance
    keep(ws, version, found)          suspicions to the ledger, numbers as a Probe "quality"

Looked at are training and validation rows. The sealed test set is left alone: whoever corrects it
by what a model says of it tunes on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from metier.core import ledger
from metier.core.canaries import is_canary
from metier.core.codec import to_json
from metier.core.completer import Completer
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import DataVersion, Probe
from metier.core.steps import Suspect
from metier.core.types import Estimate, Example, Json, Score
from metier.core.workspace import Workspace
from metier.data.labels import strata
from metier.data.quality.balance import Balance, measure_balance
from metier.data.quality.config import QualityConfig
from metier.data.quality.decide import decisions_of
from metier.data.quality.generated import Unlikely, disagreeing, unlikely
from metier.data.quality.labels import Question, ask_labels, label_suspects
from metier.data.quality.neighbours import Near, nearest, vectors_of
from metier.data.quality.out_of_fold import in_order, units_of
from metier.data.quality.outliers import far_prompts, odd_languages, odd_lengths
from metier.data.quality.rebalance import is_copy
from metier.data.quality.targets import Written, poor_targets, written
from metier.models.classical import text_of
from metier.scoring.statistics.agreement import share_estimate

STEP = "quality"
KIND = "quality"
SPLITS = ("train", "validation")
LABEL_ERROR = "label_error"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A reason to look at a row; the most suspicious of a reason come first."""

    example: Example
    reason: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True)
class Quality:
    """What was found. ``expected_label_errors`` estimates the wrong labels of each question."""

    rows: int
    suspicions: tuple[Suspicion, ...]
    metrics: Mapping[str, Estimate]
    expected_label_errors: Mapping[str, float]
    balance: Balance
    notes: tuple[str, ...] = field(default=())

    @property
    def counts(self) -> dict[str, int]:
        """How many rows are doubted for each reason."""
        return dict(sorted(Counter(one.reason for one in self.suspicions).items()))


def rows_of(ws: Workspace, version: DataVersion) -> list[Example]:
    """Return the rows that are looked at, in the order of their content."""
    found = [
        one
        for split in SPLITS
        if split in version.splits
        for one in ledger.load_split(ws, version, split)
    ]
    return in_order([one for one in found if not (is_canary(one) or is_copy(one))])


def measure(
    examples: Sequence[Example],
    objective: Objective,
    config: QualityConfig,
    progress: Progress,
    completer: Completer | None = None,
) -> Quality:
    """Return all that may be wrong with the examples; with ``completer`` also by its losses."""
    rows, closed = in_order(examples), tuple(objective.enum_fields)
    questions = ask_labels(rows, objective, config, progress)
    near = _neighbours(rows, closed, config, progress)
    suspicions = [
        *_labels(questions),
        *(Suspicion(one.example, one.reason, one.evidence) for one in far_prompts(rows, near)),
        *(Suspicion(one.example, one.reason, one.evidence) for one in odd_lengths(rows)),
        *(Suspicion(one.example, one.reason, one.evidence) for one in odd_languages(rows)),
        *(
            Suspicion(one.example, one.reason, {"field": one.field, **one.evidence})
            for one in poor_targets(rows, objective)
        ),
        *_generated(rows, objective, near, completer, progress),
    ]
    with progress.task("quality: balance", 1, "table") as task:
        balance = measure_balance(rows, closed, questions, config.fewest)
        task.advance()
    return Quality(
        len(rows),
        tuple(_once(suspicions)),
        _metrics(questions),
        {one.name: round(one.expected_errors, 1) for one in questions},
        balance,
        _notes(rows, questions, config),
    )


def keep(ws: Workspace, version: DataVersion, found: Quality) -> Probe:
    """Store suspicions and numbers. The open list is the last run's: what is not found any more is
    closed; what a person has decided on does not come back for the same reason."""
    decided = decisions_of(ws)
    fresh = []
    for one in found.suspicions:
        decision = decided.of(one.example)
        if decision is None or one.reason not in decision.reasons:
            fresh.append(one)
    noted = [one for one in ledger.list_suspects(ws) if one.step == STEP]
    # Written anew in the order of today's suspicion, with today's evidence.
    ledger.close_suspects(ws, [one.id for one in noted])
    found_now = [Suspect(one.example, one.reason, one.evidence) for one in fresh]
    ledger.add_suspects(ws, STEP, found_now)
    return ledger.save_probe(
        ws,
        Probe(
            id=new_id("probe"),
            created_at=datetime.now(UTC),
            kind=KIND,
            subject=version.id,
            version_id=version.id,
            run_id=None,
            metrics=dict(found.metrics),
            detail={
                "rows": found.rows,
                "suspects": found.counts,
                "expected_label_errors": dict(found.expected_label_errors),
                "balance": to_json(found.balance),
                "notes": list(found.notes),
            },
        ),
    )


def _neighbours(
    rows: Sequence[Example], closed: Sequence[str], config: QualityConfig, progress: Progress
) -> Near:
    with progress.task("quality: neighbours", len(rows), "rows") as task:
        vectors = vectors_of([text_of(one.conversation) for one in rows], config.embedder)
        units = units_of(rows, lambda one: strata(one, closed))
        found = nearest(vectors, units, config.neighbours, config.most_rows)
        task.advance(len(rows))
    return found


def _labels(questions: Sequence[Question]) -> list[Suspicion]:
    found = [one for question in questions for one in label_suspects(question)]
    found.sort(key=lambda one: (one.confidence, one.margin, one.example.id))
    return [Suspicion(one.example, LABEL_ERROR, one.evidence) for one in found]


def _generated(
    rows: Sequence[Example],
    objective: Objective,
    near: Near,
    completer: Completer | None,
    progress: Progress,
) -> list[Suspicion]:
    texts = [written(row, objective) for row in rows]
    fields = dict.fromkeys(one.field for found in texts for one in found)
    found: list[Unlikely] = []
    for name in fields:
        at = [i for i, some in enumerate(texts) if any(one.field == name for one in some)]
        targets = [next(one for one in texts[i] if one.field == name) for i in at]
        found += disagreeing(targets, _among(near, at))
        if completer is not None:
            with progress.task(f"quality: loss {name}".rstrip(), len(targets), "rows") as task:
                asked = [one.example.conversation for one in targets]
                found += unlikely(targets, asked, completer, task.advance)
    return [_as_suspicion(one.target, one) for one in found]


def _as_suspicion(target: Written, one: Unlikely) -> Suspicion:
    evidence = {"field": target.field, "z": round(one.z, 2), **one.evidence}
    return Suspicion(target.example, one.reason, evidence)


def _among(near: Near, at: Sequence[int]) -> Near:
    """Return the neighbours of some rows, as places among them; others are left out."""
    import numpy as np

    place = np.full(len(near.at), -1, dtype=np.int64)
    place[list(at)] = np.arange(len(at))
    mine = near.at[list(at)]
    return Near(np.where(mine >= 0, place[mine], -1), near.cosine[list(at)])


def _once(found: Sequence[Suspicion]) -> list[Suspicion]:
    """Return the first suspicion of each row and reason."""
    first: dict[tuple[str, str], Suspicion] = {}
    for one in found:
        first.setdefault((one.example.id, one.reason), one)
    return list(first.values())


def _metrics(questions: Sequence[Question]) -> dict[str, Estimate]:
    found = {}
    for question in questions:
        name = f"{question.name}." if question.name else ""
        suspects = {one.example.id for one in label_suspects(question)}
        rows = question.fair_rows
        right = [
            Score(one.id, float(hit), cluster=one.group or "")
            for one, hit in zip(rows, question.right, strict=True)
        ]
        doubted = [
            Score(one.id, float(one.id in suspects), cluster=one.group or "") for one in rows
        ]
        found[f"{name}out_of_fold_agreement"] = share_estimate(right)
        found[f"{name}label_suspects"] = share_estimate(doubted)
    return found


def _notes(
    rows: Sequence[Example], questions: Sequence[Question], config: QualityConfig
) -> tuple[str, ...]:
    said = ["the sealed test set was not looked at"]
    for one in questions:
        unjudged = len(one.rows) - len(one.fair_rows)
        if unjudged:
            said.append(
                f"{unjudged} rows{_of(one)} have a label that too few rows have to judge it"
            )
    if len(rows) > config.most_rows:
        said.append(f"neighbours were looked for among {config.most_rows:,} of {len(rows):,} rows")
    return tuple(said)


def _of(question: Question) -> str:
    return f" of {question.name}" if question.name else ""
