"""Two systems on the same items: the difference with its interval, and whether it may be chance.

Both systems are measured under the very same resamples of clusters, so that what makes an item
hard for both cancels. Source: paired bootstrap, Koehn (2004), EMNLP, and Miller (2024), arXiv
2411.00640, section 4; approximate randomisation, Noreen (1989) and Yeh (2000), COLING.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.scoring.statistics.bootstrap import (
    CELLS,
    FloatArray,
    clusters_of,
    draw,
    known_bias,
    leave_one_out,
    point,
    warned,
)
from metier.scoring.statistics.intervals import mcnemar, wilson
from metier.scoring.types import DEFAULT, Metric, Resampling, Statistic


@dataclass(frozen=True, slots=True)
class Paired:
    """``a - b`` on the same items: the difference with its interval, and a two-sided p-value.

    ``p_value`` is NaN where no interval can be had (the estimate's warnings say why).
    """

    estimate: Estimate
    p_value: float


@dataclass(frozen=True)
class Gap:
    """``a - factor * b`` as a statistic over the clusters both share."""

    a: Statistic
    b: Statistic
    clusters: tuple[str, ...]
    factor: float = 1.0

    @property
    def zero_is_exact(self) -> bool:
        """Whether a resample with the difference 0 is one in which the two do not differ."""
        return self.factor == 1.0

    @property
    def n(self) -> int:
        """Items that entered on the side that has fewer."""
        return min(self.a.n, self.b.n)

    @property
    def bias(self) -> float | None:
        """What is known of either side's small-sample bias."""
        ours, theirs = known_bias(self.a), known_bias(self.b)
        if ours is None and theirs is None:
            return None
        return (ours or 0.0) - self.factor * (theirs or 0.0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Either side's."""
        return tuple(dict.fromkeys((*self.a.warnings, *self.b.warnings)))

    def at(self, weights: FloatArray) -> FloatArray:
        """Return differences [resamples] for weights [resamples, clusters]."""
        ours = self.a.at(weights[:, self._columns(self.a)])
        return ours - self.factor * self.b.at(weights[:, self._columns(self.b)])

    def _columns(self, side: Statistic) -> NDArray[np.int64] | slice:
        if side.clusters == self.clusters:
            return slice(None)
        place = {name: i for i, name in enumerate(self.clusters)}
        return np.asarray([place[name] for name in side.clusters], dtype=np.int64)

    def leave_one_out(self) -> FloatArray:
        """Return the differences without each cluster in turn."""
        return self._spread(self.a) - self.factor * self._spread(self.b)

    def _spread(self, side: Statistic) -> FloatArray:
        """A cluster that ``side`` lacks leaves its value as it is."""
        values = np.full(len(self.clusters), float(side.at(np.ones((1, len(side.clusters))))[0]))
        values[self._columns(side)] = leave_one_out(side)
        return values


def paired_difference(
    metric: Metric,
    a: Sequence[Score],
    b: Sequence[Score],
    resampling: Resampling = DEFAULT,
    *,
    factor: float = 1.0,
) -> Paired:
    """Return metric(a) - factor * metric(b), both under the same resamples of the same clusters.

    The p-value is that of the interval: it is under 0.05 when the 95% interval leaves out 0, and
    never 0 itself. Clusters are a's. Raises InputError when the two do not hold the same items.
    """
    a, b = _aligned(a, b)
    gap = Gap(metric.statistic(a), metric.statistic(b), clusters_of(a)[0], factor)
    result = point(gap, resampling)
    if result.method == "undefined" or result.clusters < 2:
        return Paired(result, math.nan)
    found = draw(gap, result.value, resampling)
    result = warned(result, *found.warnings)
    if found.agree:
        p_value = 1.0 if result.value == 0 else found.p_value()
        return Paired(_same_everywhere(result, metric), p_value)
    low, high = found.ends(resampling.level)
    result = replace(result, low=low, high=high, method=f"paired cluster {found.name}")
    return Paired(result, found.p_value())


def _same_everywhere(result: Estimate, metric: Metric) -> Estimate:
    """A difference that never varied: how far what was not seen may still differ."""
    value, low, high = result.value, metric.info.low, metric.info.high
    if low is None or high is None:
        result = replace(result, low=value, high=value, method="every resample agrees")
        return warned(result, "the difference does not vary: the interval may be too narrow")
    reach = wilson(0, result.clusters, result.level)[1] * (high - low)
    method = "Wilson over clusters (every resample agrees)"
    return replace(result, low=value - reach, high=value + reach, method=method)


def _aligned(a: Sequence[Score], b: Sequence[Score]) -> tuple[list[Score], list[Score]]:
    """Return both in the order of ids, under a's clusters."""
    first = {record.example_id: record for record in a}
    second = {record.example_id: record for record in b}
    if len(first) != len(a) or len(second) != len(b):
        raise InputError(
            "each item once per system",
            got=f"{len(a) - len(first) + len(b) - len(second)} items that appear twice",
        )
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        raise InputError(
            "the same items in both systems",
            got=f"{len(odd)} items that only one of them answered, e.g. {odd[0]}",
            remedy="compare on the items both answered",
        )
    ids = sorted(first)
    return [first[i] for i in ids], [replace(second[i], cluster=first[i].cluster) for i in ids]


def permutation_test(
    metric: Metric, a: Sequence[Score], b: Sequence[Score], resampling: Resampling = DEFAULT
) -> float:
    """Return the two-sided p-value of approximate randomisation.

    Under the null hypothesis the two systems are exchangeable, so in each round every cluster's
    answers are swapped with probability 1/2. NaN where the metric is undefined.
    """
    a, b = _aligned(a, b)
    names, index = clusters_of(a)
    joint = metric.statistic([*_sided("a", a, index), *_sided("b", b, index)])
    swap = _Swapped(joint, len(names))
    seen = abs(float(swap.at(np.ones((1, len(names))))[0])) if names else math.nan
    if math.isnan(seen):
        return math.nan
    rng = np.random.default_rng(resampling.seed)
    step = max(1, CELLS // max(1, joint.n))
    hits = total = 0
    for start in range(0, resampling.resamples, step):
        rows = min(step, resampling.resamples - start)
        gaps = np.abs(swap.at(rng.integers(0, 2, size=(rows, len(names))).astype(np.float64)))
        hits += int(np.sum(gaps >= seen - 1e-12))
        total += int(np.sum(~np.isnan(gaps)))
    return (hits + 1) / (total + 1)


def mcnemar_test(
    a: Sequence[Score],
    b: Sequence[Score],
    right: Callable[[Score], bool] | None = None,
    *,
    mid_p: bool = True,
) -> float:
    """Return the two-sided p-value that one system gets more items right than the other.

    ``right`` says whether an answer is (None: it equals the reference). For independent items:
    raises InputError where several share a cluster, for which ``permutation_test`` is the test.
    """
    a, b = _aligned(a, b)
    if len(clusters_of(a)[0]) < len(a):
        raise InputError(
            "items that are independent",
            got=f"{len(a)} items in {len(clusters_of(a)[0])} clusters",
            remedy="use permutation_test, which swaps whole clusters",
        )
    judge = right or (lambda record: bool(record.got == record.expected))
    pairs = [(judge(ours), judge(theirs)) for ours, theirs in zip(a, b, strict=True)]
    only_a = sum(ours and not theirs for ours, theirs in pairs)
    only_b = sum(theirs and not ours for ours, theirs in pairs)
    return mcnemar(only_a, only_b, mid_p=mid_p)


def _sided(side: str, records: list[Score], index: NDArray[np.int64]) -> list[Score]:
    pairs = zip(records, index, strict=True)
    return [replace(record, cluster=f"{side}{number:09d}") for record, number in pairs]


@dataclass(frozen=True)
class _Swapped:
    """The difference where clusters with 0 instead of 1 have their answers swapped."""

    joint: Statistic
    count: int

    def at(self, kept: FloatArray) -> FloatArray:
        names = [f"{side}{number:09d}" for side in "ab" for number in range(self.count)]
        present = set(self.joint.clusters)
        columns = np.asarray([name in present for name in names])
        there = np.hstack([kept, 1 - kept])[:, columns]
        swapped = np.hstack([1 - kept, kept])[:, columns]
        return self.joint.at(there) - self.joint.at(swapped)
