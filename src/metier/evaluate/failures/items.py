"""Judged items: every test item with its input, what was answered and how good that was.

    judged = judge_items(objective, load_predictions(ws, report), examples)
    judged.items[0].value                # 1.0: right

Slices, fairness and failures all look at one number per item, the ``item_metric``: the primary
metric where that is a mean over items, else the plainest stand-in (for f1_macro the share right).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Example, Score
from metier.scoring import (
    Metric,
    MetricInfo,
    field_kinds,
    make_metric,
    metric_info,
    primary_metric,
    record_of,
)
from metier.scoring.statistics.bootstrap import CELLS, clusters_of

FloatArray = NDArray[np.float64]
STAND_INS = {"label": "accuracy", "labels": "exact_match", "text": "token_f1"}
TASK_STAND_INS = {"classify": "accuracy", "multilabel": "exact_match", "extract": "exact_match"}


@dataclass(frozen=True, slots=True)
class Item:
    """One test item. ``value`` is the item metric's; NaN where the item has no reference."""

    example: Example
    prediction: Prediction
    record: Score
    value: float


@dataclass(frozen=True)
class Judged:
    """The items of one evaluation under one objective, in the order they were answered."""

    objective: Objective
    metric: str
    item_metric: str
    items: tuple[Item, ...]

    @property
    def info(self) -> MetricInfo:
        """What is known of the item metric."""
        return metric_info(self.item_metric)

    @property
    def values(self) -> FloatArray:
        """The item metric's value of each item."""
        return np.asarray([item.value for item in self.items], dtype=np.float64)

    @property
    def records(self) -> list[Score]:
        """The ungraded records, for any metric."""
        return [item.record for item in self.items]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The index of each item's independent group."""
        return clusters_of(self.records)[1]

    @property
    def span(self) -> tuple[float, float] | None:
        """The item metric's least and largest value; None where it has no end."""
        low, high = self.info.low, self.info.high
        return None if low is None or high is None else (low, high)

    def part(self, indices: Sequence[int] | NDArray[np.int64]) -> Judged:
        """Return some of the items."""
        return replace(self, items=tuple(self.items[int(index)] for index in indices))


def judge_items(
    objective: Objective,
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    item_metric: str | None = None,
) -> Judged:
    """Join predictions with their examples; items without a reference are left out.

    ``item_metric`` (a mean over items) stands for another one than the objective's. A reply that
    failed counts as wrong. Raises InputError when a prediction's example is not among
    ``examples``, or when none has a reference.
    """
    metric = primary_metric(objective)
    item_metric = item_metric or item_metric_of(objective)
    known: Mapping[str, Example] = {example.id: example for example in examples}
    lost = [one.example_id for one in predictions if one.example_id not in known]
    if lost:
        raise InputError(
            "predictions on this split's examples",
            got=f"{len(lost)} on others, e.g. {lost[0]}",
            remedy="evaluate again on today's version",
        )
    records = [record_of(one) for one in predictions]
    values = item_values(make_metric(item_metric, objective=objective), records)
    items = tuple(
        Item(known[one.example_id], one, record, float(value))
        for one, record, value in zip(predictions, records, values, strict=True)
        if not np.isnan(value)
    )
    if not items:
        raise InputError("predictions on items with a reference", got="none")
    return Judged(objective, metric, item_metric, items)


def item_metric_of(objective: Objective) -> str:
    """Return the metric that gives each single item a value."""
    name = primary_metric(objective)
    info = metric_info(name)
    if info.kind in ("proportion", "mean") and info.needs not in ("timing", "usage"):
        return name
    field = name.rpartition(".")[0]
    if not field:
        return TASK_STAND_INS.get(objective.task, "token_f1")
    return f"{field}.{STAND_INS.get(field_kinds(objective).get(field, ''), 'exact_match')}"


def item_values(metric: Metric, records: Sequence[Score]) -> FloatArray:
    """Return a mean metric's value of each record, NaN where it is undefined."""
    places = [f"{number:09d}" for number in range(len(records))]
    alone = [replace(one, cluster=place) for one, place in zip(records, places, strict=True)]
    statistic = metric.statistic(alone)
    found = np.full(len(records), np.nan)
    names = [int(name) for name in statistic.clusters]
    step = max(1, CELLS // max(1, len(names)))
    for start in range(0, len(names), step):
        rows = range(start, min(start + step, len(names)))
        weights = np.zeros((len(rows), len(names)))
        weights[np.arange(len(rows)), list(rows)] = 1.0
        found[[names[row] for row in rows]] = statistic.at(weights)
    return found
