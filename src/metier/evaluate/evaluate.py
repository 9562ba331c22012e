"""Measure one contender on one split, and store the report with every prediction.

    evaluate(bench, Contender("zero_shot", completer, variant)) -> EvaluationReport

A contender that was measured before with the same fingerprint, data and settings is not measured
again: its stored report is returned. Where only the way of measuring changed (resamples, prices,
targets), or a new version has the same split, the stored predictions are measured anew without
asking the model.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from metier.core.ids import new_id
from metier.core.ledger import (
    list_evaluations,
    list_versions,
    load_predictions,
    save_evaluation,
)
from metier.core.records import REGRESSION, EvaluationReport, Prediction
from metier.core.types import Json, digest
from metier.evaluate.answers import answer_split, answers_key, asking_anew, forget_batches
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.beside import Beside, materials_of
from metier.evaluate.given import given
from metier.evaluate.measures import COST, measure


def evaluate(
    bench: Bench, contender: Contender, *, split: str = "test", force: bool = False
) -> EvaluationReport:
    """Answer the split, score the answers, store and return the report.

    ``force`` answers again even where a stored report fits. Raises InputError when the split is
    empty or a target names a slice that it does not have.
    """
    examples = bench.measured(split)
    asked, how = answers_key(bench, contender, split), measure_key(bench, contender)
    stored = [] if force else _stored(bench, contender, split, asked)
    for report in stored:
        here = report.version_id == bench.version.id
        if here and report.settings.get("measure_key") == how:
            return report
    if stored:
        previous = load_predictions(bench.workspace, stored[-1])
        predictions = [replace(one, id=new_id("pred")) for one in previous]
    else:
        predictions = answer_split(
            asking_anew(bench) if force else bench, contender, examples, asked
        )
    saved = keep_answers(bench, contender, split, predictions)
    forget_batches(bench, asked)
    return saved


def keep_answers(
    bench: Bench, contender: Contender, split: str, predictions: Sequence[Prediction]
) -> EvaluationReport:
    """Score answers that were given to a split, store and return the report."""
    report = _report(bench, contender, split, predictions)
    keys = {
        "answers_key": answers_key(bench, contender, split),
        "measure_key": measure_key(bench, contender),
    }
    kept = replace(report, settings={**report.settings, **keys})
    return save_evaluation(bench.workspace, kept, predictions)


def measure_key(bench: Bench, contender: Contender) -> str:
    """Return the hash of all that turns given answers into numbers."""
    config = bench.config
    return digest(
        [
            bench.objective.model_dump(),
            [config.resamples, config.level, config.seed, config.rare_class_items],
            bench.prices.model_dump(exclude={"as_of", "source"}),
            contender.device,
            contender.run_id,
            dict(contender.chosen),
            list(contender.warnings),
            materials_of(bench).fingerprint(bench.objective.check),
        ]
    )


def _stored(bench: Bench, contender: Contender, split: str, asked: str) -> list[EvaluationReport]:
    """The reports that hold these answers, on this version or on others with the same split."""
    ws, artifact = bench.workspace, bench.version.splits[split]
    return [
        report
        for version in list_versions(ws)
        if version.splits.get(split) == artifact
        for report in list_evaluations(ws, version.id)
        if (report.rung, report.split) == (contender.rung, split)
        and report.settings.get("answers_key") == asked
    ]


def _report(
    bench: Bench, contender: Contender, split: str, predictions: Sequence[Prediction]
) -> EvaluationReport:
    objective = bench.objective
    if split == REGRESSION:  # targets, and the slices they name, are about the test set
        objective = objective.model_copy(update={"target": [], "constraint": []})
    with bench.progress.task(f"score {contender.rung}"):
        beside = Beside(bench.measured(split), materials_of(bench), partial(given, bench))
        measures = measure(
            objective, predictions, bench.resampling, bench.prices, contender.device, beside
        )
    return EvaluationReport(
        id=new_id("eval"),
        created_at=datetime.now(UTC),
        version_id=bench.version.id,
        split=split,
        rung=contender.rung,
        completer=contender.completer.name,
        fingerprint=contender.fingerprint,
        run_id=contender.run_id,
        n=len(predictions),
        metrics=measures.metrics,
        per_class=measures.per_class,
        confusion=measures.confusion,
        settings=_settings(bench, contender),
        usd_per_1000=measures.metrics[COST].value if COST in measures.metrics else 0.0,
        predictions="",
        warnings=(*contender.warnings, *measures.warnings),
    )


def _settings(bench: Bench, contender: Contender) -> dict[str, Json]:
    config = bench.config
    return {
        "chosen": dict(contender.chosen),
        "prompt": contender.variant.name if contender.variant else None,
        "prior_correction": bool(contender.priors),
        "max_new_tokens": config.max_new_tokens,
        "batch_size": config.batch_size,
        "test_sample": config.test_sample,
        "resamples": config.resamples,
        "level": config.level,
        "seed": config.seed,
        "rare_class_items": config.rare_class_items,
        "device": f"{contender.device}, {platform.machine()}, {platform.system()}",
    }
