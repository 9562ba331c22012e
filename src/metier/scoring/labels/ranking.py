"""How well scores rank: AUROC, PR-AUC, top-k accuracy, mean average precision.

They read ``detail["scores"]``: a log-probability per label, as a closed set was scored.

    auroc, pr_auc    label against the rest, over items; mean over the labels of the references
    top3_accuracy    over labels, per item: the right one is the answer or among the next best
    map              over labels, per item: average precision of the item's own labels

Single labels are compared across items by their probability among the item's scored labels (a
softmax); label sets as they are, since their labels do not exclude each other.

Nothing is gained by silence: ties count against (but half in AUROC, which is its definition), and
an item without scores, while others have them, ranks worst for every label.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Score
from metier.scoring.base import Measured, Proportion, mean_statistic
from metier.scoring.labels.classification import decisions, label_of, small_class_warnings
from metier.scoring.registry import metrics
from metier.scoring.statistics.bootstrap import FloatArray, Sums, clusters_of
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric

UNKNOWN = -1e12
"""Score of a label that an item's scores leave out: below every one they hold."""
NO_SCORES = "no reply carries scores per label: the model was not asked to score a closed set"


def scores_of(record: Score) -> dict[str, float] | None:
    """Return the record's finite scores by label, None when it has none (or one is NaN)."""
    found = record.detail.get("scores")
    if not isinstance(found, Mapping) or not found:
        return None
    scores = {str(label): _finite(value) for label, value in found.items()}
    return None if any(math.isnan(value) for value in scores.values()) else scores


def _finite(value: object) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    number = float(value) if usable else math.nan  # type: ignore[arg-type]
    return math.nan if math.isnan(number) else min(max(number, UNKNOWN / 2), -UNKNOWN)


def among_labels(scores: Mapping[str, float]) -> dict[str, float]:
    """Return log softmax: each label's log-probability among those scored.

    Rounded, so that what ties is not told apart by the last bits of a sum.
    """
    top = max(scores.values())
    whole = top + math.log(math.fsum(math.exp(value - top) for value in scores.values()))
    return {label: round(value - whole, 9) for label, value in scores.items()}


Area = Callable[[FloatArray, FloatArray], FloatArray]
"""Weights of a label's items and of the rest by falling score, [resamples, steps] each, equal
scores in one step -> area under the curve [resamples]."""


def roc_area(mine: FloatArray, rest: FloatArray) -> FloatArray:
    """Return the probability that an item of the label outranks another, ties half.

    Source: the Mann-Whitney form, Hanley and McNeil (1982), Radiology 143(1). NaN without items
    on both sides.
    """
    above = np.cumsum(rest, axis=1)
    passed = above[:, -1:] - above + rest / 2
    return np.asarray((mine * passed).sum(axis=1) / (mine.sum(axis=1) * above[:, -1]))


def precision_area(mine: FloatArray, rest: FloatArray) -> FloatArray:
    """Return average precision: the mean over the label's items of the precision at their score.

    Equal scores share one threshold, as in scikit-learn. NaN where the label has no item, or all:
    any order is perfect then.
    """
    right, above = np.cumsum(mine, axis=1), np.cumsum(mine + rest, axis=1)
    precision = np.where(above > 0, right / above, 0.0)
    value = (mine * precision).sum(axis=1) / right[:, -1]
    return np.asarray(np.where(right[:, -1] < above[:, -1], value, np.nan))


def _macro(area: Area) -> Callable[[Sequence[Score]], Sums]:
    def build(records: Sequence[Score]) -> Sums:
        kept = [record for record in records if record.expected is not None]
        rows = [_row(record) for record in kept]
        if all(row is None for row in rows):
            return _nothing(NO_SCORES if kept else "no items with a reference")
        wanted = [set(decisions(record.expected).values()) for record in kept]
        columns = [_steps(label, wanted, rows) for label in _told_apart(wanted)]
        if not columns:
            return _nothing("all items are of one class: there is nothing to rank them against")
        notes = _left_out(len(records) - len(kept), len(records))
        without = sum(row is None for row in rows)
        if without:
            notes += (f"{without} of {len(kept)} items have no scores and rank worst",)
        return _area_sums(kept, columns, area, (*notes, *small_class_warnings(kept)))

    return build


@dataclass(frozen=True)
class Steps:
    """One label: the step each item stands on when scores fall, and which items are its own.

    Even steps hold only items of other labels, odd ones the label's own and what ties with them.
    """

    step: NDArray[np.int64]
    own: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many steps there are."""
        return 2 * len(np.unique(self.step[self.own])) + 1


def _steps(
    label: str, wanted: Sequence[set[str]], rows: Sequence[Mapping[str, float] | None]
) -> Steps:
    own = np.asarray([label in labels for labels in wanted])
    given = [math.nan if row is None else row.get(label, UNKNOWN) for row in rows]
    scores = np.asarray(given, dtype=np.float64)
    worst = np.where(own, -np.inf, np.inf)
    depth = -np.where(np.isnan(scores), worst, scores)
    stairs = np.unique(depth[own])
    below = np.searchsorted(stairs, depth, side="left")
    return Steps(below + np.searchsorted(stairs, depth, side="right"), own)


def _area_sums(
    records: Sequence[Score], columns: Sequence[Steps], area: Area, notes: tuple[str, ...]
) -> Sums:
    """The mean area as a function of sums: the weight of own and other items on every step."""
    from scipy.sparse import csr_array

    names, cluster = clusters_of(records)
    starts = np.cumsum([0, *(one.count for one in columns)])
    width = int(starts[-1])
    places = np.concatenate(
        [start + one.step + width * one.own for start, one in zip(starts, columns, strict=False)]
    )
    who = np.tile(cluster, len(columns))
    matrix = csr_array((np.ones(len(places)), (who, places)), shape=(len(names), 2 * width))

    def reduce(sums: FloatArray) -> FloatArray:
        total, defined = np.zeros(len(sums)), np.zeros(len(sums))
        for start, end in pairwise(starts):
            found = area(sums[:, width + start : width + end], sums[:, start:end])
            known = ~np.isnan(found)
            total[known] += found[known]
            defined += known
        return np.asarray(total / np.where(defined > 0, defined, np.nan))

    return Sums(names, len(records), matrix, reduce, notes)


def _told_apart(wanted: Sequence[set[str]]) -> list[str]:
    """Return the labels that some, and not all, of the references hold."""
    counts = Counter(label for labels in wanted for label in labels)
    return sorted(label for label, count in counts.items() if count < len(wanted))


def _row(record: Score) -> dict[str, float] | None:
    scores = scores_of(record)
    if scores is None or isinstance(record.expected, list | tuple):
        return scores
    return among_labels(scores)


def _left_out(gone: int, of: int) -> tuple[str, ...]:
    return (f"{gone} of {of} items have no reference and were left out",) if gone else ()


def _nothing(why: str) -> Sums:
    """A statistic of no items, which says why."""
    return Sums.of([], [], 2, lambda sums: sums[:, 0], (why,))


@metrics.register("auroc")
def auroc() -> Metric:
    """Area under the ROC curve of each label against the rest; the mean over the labels.

    With two labels that exclude each other both have the same area: the usual binary AUROC.
    """
    return Measured(metric_info("auroc"), _macro(roc_area))


@metrics.register("pr_auc")
def pr_auc() -> Metric:
    """Area under the precision-recall curve (average precision); the mean over the labels."""
    return Measured(metric_info("pr_auc"), _macro(precision_area))


def in_top(record: Score, k: int) -> float | None:
    """Return 1 when the right label is the answer, or one of the next best up to ``k`` in all.

    The answer itself comes first, whatever its score: correcting for the model's preferences may
    have changed the order. A label that ties with others stands behind them.
    """
    if record.expected is None:
        return None
    wanted, got = label_of(record.expected), label_of(record.got)
    if wanted is not None and wanted == got:
        return 1.0
    scores = scores_of(record)
    if scores is None or wanted not in scores:
        return 0.0
    others = [v for label, v in scores.items() if label not in (wanted, got)]
    ahead = sum(value >= scores[wanted] for value in others) + (got is not None)
    return float(ahead < k)


def average_precision(record: Score) -> float | None:
    """Return the mean over the item's labels of the precision down to each in its ranking.

    A label without a score counts 0. None for an item that has no labels to find. Source: Manning,
    Raghavan and Schuetze (2008), section 8.4; without ties equal to scikit-learn's
    ``label_ranking_average_precision_score``.
    """
    wanted = set(decisions(record.expected).values())
    if not wanted:
        return None
    scores = scores_of(record) or {}
    found = [scores[label] for label in wanted if label in scores]
    precisions = [
        sum(other >= own for other in found) / sum(v >= own for v in scores.values())
        for own in found
    ]
    return sum(precisions) / len(wanted)


def _register_top(name: str, k: int) -> None:
    def build(records: Sequence[Score]) -> Sums:
        known = max((len(scores_of(record) or ()) for record in records), default=0)
        if records and not known:
            return _nothing(NO_SCORES)
        if 0 < known <= k:
            return _nothing(f"with {known} labels every one is among the first {k}")
        values = [in_top(record, k) for record in records]
        return mean_statistic(records, values, "have no reference")

    @metrics.register(name)
    def factory() -> Metric:
        return Proportion(metric_info(name), build)


_register_top("top3_accuracy", 3)
_register_top("top5_accuracy", 5)


@metrics.register("map")
def mean_average_precision() -> Metric:
    """Mean average precision of each item's labels in the ranking of all labels."""
    return Measured(metric_info("map"), _precision_sums)


def _precision_sums(records: Sequence[Score]) -> Sums:
    if records and not any(scores_of(record) for record in records):
        return _nothing(NO_SCORES)
    values = [average_precision(record) for record in records]
    return mean_statistic(records, values, "have no label to find")
