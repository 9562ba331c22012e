"""Agreement: of a judge with people, and of judges with one another. All resampled by cluster.

spearman           ranks: does more of one go with more of the other?      ratings
quadratic kappa    the same ratings, beyond chance; far misses weigh more  ratings
kappa, accuracy    the same choice, beyond chance; the same choice         pairs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from metier.core.types import Estimate, Score
from metier.scoring.base import Proportion, mean_statistic
from metier.scoring.statistics.bootstrap import FloatArray, Sums, clusters_of, estimate
from metier.scoring.statistics.validity import Correlation
from metier.scoring.types import DEFAULT, MetricInfo, Resampling

Range = tuple[float, float]
CORRELATION: Range = (-1.0, 1.0)


def spearman(
    records: Sequence[Score],
    ours: Sequence[float],
    theirs: Sequence[float],
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return Spearman's correlation; undefined where either side never varies."""
    names, index = clusters_of(records)
    columns = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    return estimate(Correlation(names, *columns, index, ranked=True), resampling, CORRELATION)


def quadratic_kappa(
    records: Sequence[Score],
    ours: Sequence[float],
    theirs: Sequence[float],
    scale: Range,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return Cohen's kappa with quadratic weights on the whole numbers of ``scale``.

    Values between are rounded, halves upwards. Source: Cohen (1968), Psychological Bulletin 70(4).
    """
    low, high = round(scale[0]), round(scale[1])
    size = high - low + 1
    places = [_places(values, low, high) for values in (ours, theirs)]
    return _kappa(records, places[0], places[1], costs_between(size), resampling)


def kappa(
    records: Sequence[Score],
    ours: Sequence[str],
    theirs: Sequence[str],
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return Cohen's kappa of two sets of choices. Source: Cohen (1960), EPM 20(1)."""
    names = sorted({*ours, *theirs})
    places = [[names.index(value) for value in values] for values in (ours, theirs)]
    return _kappa(records, places[0], places[1], 1.0 - np.eye(len(names)), resampling)


def pairwise_kappa(
    records: Sequence[Score],
    rows: Sequence[Sequence[float]],
    scale: Range,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return the mean quadratic kappa over all pairs of raters; rows are [items][raters]."""
    low, high = round(scale[0]), round(scale[1])
    size = high - low + 1
    columns = [_places([row[j] for row in rows], low, high) for j in range(len(rows[0]))]
    pairs = list(combinations(columns, 2))
    cost = costs_between(size)
    reduce, width = kappa_of(cost), 1 + 2 * size
    cells = [
        (item, number * width + column, amount)
        for number, (a, b) in enumerate(pairs)
        for item, column, amount in kappa_cells(a, b, cost)
    ]

    def mean(sums: FloatArray) -> FloatArray:
        parts = [reduce(sums[:, i * width : (i + 1) * width]) for i in range(len(pairs))]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)

    return estimate(Sums.of(records, cells, width * len(pairs), mean), resampling, CORRELATION)


def mean_estimate(
    records: Sequence[Score], resampling: Resampling = DEFAULT, bounds: Range | None = None
) -> Estimate:
    """Return the mean of the records' values; one that is missing or NaN is the lowest bound."""
    worst = bounds[0] if bounds else 0.0
    values = [worst if r.value is None or r.value != r.value else r.value for r in records]
    return estimate(mean_statistic(records, values), resampling, bounds)


def share_estimate(records: Sequence[Score], resampling: Resampling = DEFAULT) -> Estimate:
    """Return the share of records whose value is 1, with Wilson's interval."""
    info = MetricInfo("share", "Share of items.", "proportion", ())
    return Proportion(info, lambda some: mean_statistic(some, [r.value for r in some]))(
        records, resampling
    )


def _kappa(
    records: Sequence[Score],
    ours: Sequence[int],
    theirs: Sequence[int],
    cost: FloatArray,
    resampling: Resampling,
) -> Estimate:
    cells = kappa_cells(ours, theirs, cost)
    sums = Sums.of(records, cells, 1 + 2 * len(cost), kappa_of(cost))
    return estimate(sums, resampling, CORRELATION)


def kappa_cells(
    ours: Sequence[int], theirs: Sequence[int], cost: FloatArray
) -> list[tuple[int, int, float]]:
    """Return the cells (item, column, amount) that ``kappa_of`` reduces: what the item's miss
    costs, then each side's choice. The whole table of pairs is not needed, which for many labels
    is most of it."""
    size = len(cost)
    return [
        cell
        for item, (a, b) in enumerate(zip(ours, theirs, strict=True))
        for cell in ((item, 0, float(cost[a, b])), (item, 1 + a, 1.0), (item, 1 + size + b, 1.0))
    ]


def kappa_of(cost: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return kappa [resamples] from sums [resamples, 1 + 2 * size]: 1 - observed / chance."""
    size = len(cost)

    def reduce(sums: FloatArray) -> FloatArray:
        ours, theirs = sums[:, 1 : 1 + size], sums[:, 1 + size :]
        expected = np.sum((ours @ cost) * theirs, axis=1) / ours.sum(axis=1)
        some = expected > 1e-12
        worth = 1 - sums[:, 0] / np.where(some, expected, 1.0)
        return np.asarray(np.where(some, worth, np.nan), dtype=np.float64)

    return reduce


def costs_between(size: int) -> FloatArray:
    """Return the squares of the distances between the places of a scale [size, size]."""
    steps = np.arange(size, dtype=np.float64)
    return np.asarray((steps[:, None] - steps[None, :]) ** 2, dtype=np.float64)


def _places(values: Sequence[float], low: int, high: int) -> list[int]:
    """Round half up and clip to the scale; the index on it."""
    return [int(min(max(np.floor(value + 0.5), low), high)) - low for value in values]
