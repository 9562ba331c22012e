"""Truthfulness of stored replies: against the passages they were shown, or their question.

    found = truth(bench, report)
    found.metrics["hallucination_rate"]      # Estimate
    found.unsupported[0].why                 # numbers not in the source: 20 mg

What a reply may draw on: the question, and the passages that retrieval showed (looked up by
``Completion.sources``). A reply for which retrieval found nothing has the question alone. With
``entails`` (a judge or an NLI model) sentences are decided by it, and counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metier.core.ledger import get_version, load_predictions, load_split
from metier.core.records import EvaluationReport
from metier.core.types import Estimate, Score
from metier.evaluate.bench import Bench
from metier.evaluate.beside import materials_of
from metier.evaluate.given import given
from metier.evaluate.turns import every_turn
from metier.scoring import make_metric, records_of
from metier.scoring.rules import reply_text
from metier.scoring.statistics.agreement import mean_estimate
from metier.scoring.truth.factual import FACT_METRICS
from metier.scoring.truth.refusal import is_refusal
from metier.scoring.truth.supported import (
    Entails,
    Source,
    Support,
    record_support,
    source_of,
    support_by,
)

ALWAYS = (
    *("groundedness", "unsupported_numbers_rate", "unsupported_names_rate"),
    *("hallucination_rate", "answered_unanswerable_rate", "over_refusal_rate"),
)
BY_MODEL = "groundedness_by_model"
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A sentence of a reply that its source does not bear out."""

    example_id: str
    claim: str
    why: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What was found: estimates by name, the first unsupported sentences, and what to know."""

    metrics: Mapping[str, Estimate]
    unsupported: tuple[Unsupported, ...]
    notes: tuple[str, ...] = ()


def truth(bench: Bench, report: EvaluationReport, entails: Entails | None = None) -> Truth:
    """Measure the truthfulness of a stored evaluation's replies, without asking the model again.

    Facts are checked where the objective has a check of the type ``facts``.
    """
    records, notes = grounded_records(bench, report)
    objective, materials = bench.objective, materials_of(bench)
    names = [*ALWAYS, *(sorted(FACT_METRICS) if _has_facts(bench) else ())]
    found = {
        name: make_metric(name, objective=objective, materials=materials)(records, bench.resampling)
        for name in names
    }
    extra = objective.refusals
    held = {one.example_id: record_support(one, extra=extra) or [] for one in records}
    if entails is not None:
        held = by_model(entails, records, extra)
        found[BY_MODEL] = _share(held, records, bench)
    failed = [
        Unsupported(example_id, one.claim, one.why)
        for example_id, claims in held.items()
        for one in claims
        if not one.supported
    ]
    return Truth(found, tuple(failed[:SHOWN]), notes)


def grounded_records(bench: Bench, report: EvaluationReport) -> tuple[list[Score], tuple[str, ...]]:
    """Return the records of a stored evaluation with what each reply may draw on, and notes."""
    version = get_version(bench.workspace, report.version_id)
    examples = every_turn(load_split(bench.workspace, version, report.split))
    predictions = load_predictions(bench.workspace, report)
    return given(bench, records_of(predictions, examples), predictions)


def by_model(
    entails: Entails, records: Sequence[Score], extra: Sequence[str] = ()
) -> dict[str, list[Support]]:
    """Return the claims of every reply that has a source, decided by a model; a reply that failed
    is one unsupported claim."""
    found: dict[str, list[Support]] = {}
    for record in records:
        source, reply = source_of(record), reply_text(record)
        if source is None or (reply is not None and is_refusal(reply, extra)):
            continue
        if reply is None:
            found[record.example_id] = [Support("", 0.0, why="no reply")]
        else:
            found[record.example_id] = support_by(entails, reply, Source(source))
    return found


def _share(
    held: Mapping[str, Sequence[Support]], records: Sequence[Score], bench: Bench
) -> Estimate:
    graded = [
        replace(one, value=sum(c.supported for c in claims) / len(claims))
        for one in records
        if (claims := held.get(one.example_id))
    ]
    return mean_estimate(graded, bench.resampling, (0.0, 1.0))


def _has_facts(bench: Bench) -> bool:
    return any(check.type == "facts" for check in bench.objective.check)
