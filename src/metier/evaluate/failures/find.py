"""Where it fails: clusters of failures, slices, groups of people, and what to collect next.

    found = find_failures(bench, report)
    found.clusters[0].words
    # confuses `billing` with `delivery` when the message says 'invoice for parcel'; 34 of 51, ...

Everything is read from stored predictions: no reply is given again. What is found here was found
on the test set; collect new rows for it, and never move test rows into training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.core.errors import InputError
from metier.core.ledger import load_predictions
from metier.core.objective import Objective
from metier.core.records import EvaluationReport, Prediction
from metier.core.types import Estimate, Example
from metier.evaluate.bench import Bench
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.failures.confused import confusion_clusters
from metier.evaluate.failures.fairness import Fairness, fairness
from metier.evaluate.failures.items import Judged, judge_items
from metier.evaluate.failures.requests import DataRequest, request_data
from metier.evaluate.failures.slices import Slices, facts_of_items, find_slices
from metier.evaluate.failures.themes import poor, theme_clusters
from metier.evaluate.failures.types import FailureCluster, share_of
from metier.evaluate.measures import label_fields
from metier.evaluate.turns import every_turn
from metier.scoring import Resampling, field_kinds

CLUSTERS = 10
UNSURE = 5
SEALED = (
    "this was learnt from the test set: collect new rows for it; never train on test rows, and "
    "freeze new test items before the next cycle leans on these findings"
)


@dataclass(frozen=True, slots=True)
class Failures:
    """What one evaluation tells of where the model fails.

    ``failed`` is the share of wrong answers (of texts: the worst quarter counts as failed, so it
    says nothing by itself). ``clusters`` are those that stand out, ``unsure`` the few most frequent
    of the ``unclear`` ones, which may be chance.
    """

    evaluation_id: str
    version_id: str
    rung: str
    split: str
    n: int
    failed: Estimate
    clusters: tuple[FailureCluster, ...]
    unsure: tuple[FailureCluster, ...]
    unclear: int
    slices: Slices
    fairness: tuple[Fairness, ...]
    request: DataRequest
    notes: tuple[str, ...]


def find_failures(bench: Bench, report: EvaluationReport) -> Failures:
    """Look through the stored predictions of a report on the bench's version. Deterministic.

    Raises InputError when the report is of another version or has no item with a reference.
    """
    if report.version_id != bench.version.id:
        raise InputError(
            f"a report on version {bench.version.id}", got=f"one on {report.version_id}"
        )
    predictions = load_predictions(bench.workspace, report)
    examples = every_turn(bench.examples(report.split))
    judged = judge_items(bench.objective, predictions, examples)
    every = clusters_of_failures(bench.objective, predictions, examples, bench.resampling)
    sure = [one for one in every if one.stands_out]
    config: EvaluateConfig = bench.config
    groups = tuple(
        fairness(judged, name, bench.resampling, config.positive) for name in config.groups
    )
    slices = find_slices(judged, bench.resampling)
    train = bench.examples("train")
    return Failures(
        evaluation_id=report.id,
        version_id=report.version_id,
        rung=report.rung,
        split=report.split,
        n=len(judged.items),
        failed=share_of(judged, wrong(judged), bench.resampling),
        clusters=tuple(sure[:CLUSTERS]),
        unsure=tuple(sorted(every[len(sure) :], key=lambda one: (-one.failed, one.name))[:UNSURE]),
        unclear=len(every) - len(sure),
        slices=slices,
        fairness=groups,
        request=request_data(judged, sure[:CLUSTERS], slices, groups, train),
        notes=(SEALED,) if report.split == "test" else (),
    )


def clusters_of_failures(
    objective: Objective,
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    resampling: Resampling,
) -> list[FailureCluster]:
    """Return the clusters of every field, those that stand out first, then by excess."""
    found: list[FailureCluster] = []
    for field in label_fields(objective):
        judged = judge_items(objective, predictions, examples, _metric(field, objective))
        found += confusion_clusters(judged, facts_of_items(judged), field, resampling)
    for field in text_fields(objective):
        metric = f"{field}.token_f1" if field else None
        judged = judge_items(objective, predictions, examples, metric)
        found += theme_clusters(judged, facts_of_items(judged), field, resampling)
    return sorted(found, key=lambda one: (not one.stands_out, -one.excess, one.name))


def _metric(field: str, objective: Objective) -> str:
    kind = label_fields(objective)[field]
    name = "accuracy" if kind == "label" else "exact_match"
    return f"{field}.{name}" if field else name


def text_fields(objective: Objective) -> list[str]:
    """Return the fields that hold free text; "" for a task that writes text."""
    if objective.task == "structured":
        return [name for name, kind in field_kinds(objective).items() if kind == "text"]
    return [] if label_fields(objective) else [""]


def wrong(judged: Judged) -> np.typing.NDArray[np.bool_]:
    """Return which items failed: those not wholly right, of texts the worst quarter."""
    if judged.info.kind != "proportion" or judged.span is None:
        return poor(judged)
    best = judged.span[1] if judged.info.higher_is_better else judged.span[0]
    found: np.typing.NDArray[np.bool_] = judged.values != best
    return found
