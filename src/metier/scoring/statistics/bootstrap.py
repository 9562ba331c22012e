"""Resampling by cluster: how every metric that is not a plain proportion gets its interval.

Items of one patient, customer or conversation are not independent, so whole clusters are drawn
with replacement. A draw is a vector of counts per cluster; a ``Statistic`` maps a matrix of such
vectors to values at once, so 2,000 resamples cost one sparse product.

Source: Efron and Tibshirani (1993), chapters 13-14; cluster bootstrap in Field and Welsh (2007),
JRSS B 69(3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Estimate, Score
from metier.scoring.statistics.intervals import NORMAL, t_quantile, t_tail, wilson
from metier.scoring.types import Resampling, Statistic

FloatArray = NDArray[np.float64]
FEW_ITEMS = 100
FEW_CLUSTERS = 30
CELLS = 4_000_000  # weights held in memory at once


def clusters_of(records: Sequence[Score]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the sorted cluster names and each record's index into them.

    A record without a cluster stands alone, under its example id.
    """
    names = [record.cluster or f"item:{record.example_id}" for record in records]
    unique, index = np.unique(np.asarray(names, dtype=object), return_inverse=True)
    return tuple(str(name) for name in unique), index.astype(np.int64)


@dataclass(frozen=True)
class Sums:
    """A statistic that depends on the data only through sums over items.

    ``matrix`` is sparse [clusters, k]; ``reduce`` maps sums [resamples, k] to values [resamples]
    (or [resamples, m] where several numbers are wanted at once). ``bias`` is the known amount by
    which the value lies off the truth in small samples; None: the resamples are asked for it.
    """

    clusters: tuple[str, ...]
    n: int
    matrix: Any
    reduce: Callable[[FloatArray], FloatArray]
    warnings: tuple[str, ...] = ()
    bias: float | None = None

    @classmethod
    def of(
        cls,
        records: Sequence[Score],
        cells: Sequence[tuple[int, int, float]],
        columns: int,
        reduce: Callable[[FloatArray], FloatArray],
        warnings: tuple[str, ...] = (),
    ) -> Sums:
        """Build from cells (record index, column, amount)."""
        from scipy.sparse import csr_array

        names, cluster = clusters_of(records)
        table = np.asarray(cells, dtype=np.float64).reshape(-1, 3)
        rows = cluster[table[:, 0].astype(np.int64)]
        places = (rows, table[:, 1].astype(np.int64))
        matrix = csr_array((table[:, 2], places), shape=(len(names), columns))
        return cls(names, len(records), matrix, reduce, warnings)

    def at(self, weights: FloatArray) -> FloatArray:
        """Return values [resamples] for weights [resamples, clusters]."""
        sums: FloatArray = np.asarray((self.matrix.T @ weights.T).T, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.reduce(sums)

    def leave_one_out(self) -> FloatArray:
        """Return the values without each cluster in turn: the total less its row."""
        total = np.asarray(self.matrix.sum(axis=0), dtype=np.float64).reshape(1, -1)
        step = max(1, CELLS // max(1, total.shape[1]))
        starts = range(0, len(self.clusters), step)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [self.reduce(total - self.matrix[i : i + step].toarray()) for i in starts]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Quantile:
    """The smallest value that at least a share ``q`` of the items does not exceed."""

    clusters: tuple[str, ...]
    values: FloatArray
    index: NDArray[np.int64]
    q: float
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Items that entered."""
        return len(self.values)

    def at(self, weights: FloatArray) -> FloatArray:
        """Return values [resamples] for weights [resamples, clusters]."""
        order = np.argsort(self.values, kind="stable")
        reached = np.cumsum(weights[:, self.index[order]], axis=1)
        wanted = self.q * reached[:, -1:]
        first = np.argmax(reached >= wanted - 1e-9, axis=1)
        result: FloatArray = np.where(reached[:, -1] > 0, self.values[order][first], np.nan).astype(
            np.float64
        )
        return result


def draws(clusters: int, width: int, resampling: Resampling) -> Iterator[FloatArray]:
    """Yield weights [some resamples, clusters], each row the counts of one draw of clusters."""
    rng = np.random.default_rng(resampling.seed)
    step = max(1, CELLS // max(1, clusters, width))
    for start in range(0, resampling.resamples, step):
        rows = min(step, resampling.resamples - start)
        picked = rng.integers(0, clusters, size=(rows, clusters))
        picked += np.arange(rows)[:, None] * clusters
        counts = np.bincount(picked.ravel(), minlength=rows * clusters)
        yield counts.reshape(rows, clusters).astype(np.float64)


def estimate(statistic: Statistic, resampling: Resampling, bounds: Bounds = None) -> Estimate:
    """Return value and bootstrap interval of a statistic, with warnings in words.

    ``bounds`` (low, high) are the metric's possible values, used where every resample agrees.
    """
    result = point(statistic, resampling)
    if result.method == "undefined" or result.clusters < 2:
        return result
    found = draw(statistic, result.value, resampling)
    result = warned(result, *found.warnings)
    if found.agree:
        return _no_variation(result, bounds)
    low, high = _within(bounds, *found.ends(resampling.level))
    low, high = min(low, result.value), max(high, result.value)
    return replace(result, low=low, high=high, method=f"cluster {found.name}")


def _within(bounds: Bounds, low: float, high: float) -> tuple[float, float]:
    least, most = bounds or (None, None)
    low = low if least is None else max(low, least)
    return low, high if most is None else min(high, most)


def point(statistic: Statistic, resampling: Resampling) -> Estimate:
    """Return the value without an interval; warnings say why where none can be had."""
    n, count = statistic.n, len(statistic.clusters)
    notes = (*statistic.warnings, *size_warnings(n, count))
    if n == 0:
        return undefined("no items to measure", 0, 0, resampling.level, notes)
    value = float(statistic.at(np.ones((1, count)))[0])
    if math.isnan(value):
        return undefined("undefined on these items", n, count, resampling.level, notes)
    result = Estimate(value, math.nan, math.nan, n, count, resampling.level, "", notes)
    if count > 1:
        return result
    return warned(result, "all items belong to one cluster: no interval can be had")


@dataclass(frozen=True)
class Resamples:
    """A statistic's values in the resamples (sorted out: those where it is undefined)."""

    values: FloatArray
    correction: Correction
    warnings: tuple[str, ...]
    name: str = ""

    @property
    def agree(self) -> bool:
        """All values are the same, so that they show no uncertainty."""
        return float(np.ptp(self.values)) < 1e-12

    def ends(self, level: float) -> tuple[float, float]:
        """Return the interval's ends; without correction the percentile interval's."""
        return ends(self.values, level, self.correction)

    def p_value(self) -> float:
        """Return twice the tail whose interval ends at 0, never below what the draws can show.

        Where no draw reaches 0, no interval made of these draws holds it, whatever the
        correction; what can be said is that p is at most 2 in (draws + 1).
        """
        least = 2 / (len(self.values) + 1)
        if not (self.values.min() <= 0.0 <= self.values.max()):
            return least
        # Draws at 0 count for either side, as an interval that ends at 0 holds it.
        below = self.correction.from_resample(share_below(self.values, 0.0, ties=1.0))
        above = 1 - self.correction.from_resample(share_below(self.values, 0.0, ties=0.0))
        return max(min(1.0, 2 * below, 2 * above), least)


@dataclass(frozen=True)
class StudentT:
    """The t interval over clusters: delete-one-cluster jackknife error, C - 1 degrees of freedom.

    For a mean over clusters of one size this is Student's interval of the cluster means, and
    ``intervals.cluster_t``. Source: Efron and Tibshirani (1993), eq. (11.5).
    """

    value: float
    error: float
    degrees: int
    warnings: tuple[str, ...] = ()
    name: str = "jackknife, t"

    @classmethod
    def of(cls, statistic: Statistic, value: float) -> StudentT:
        """Measure the error of a statistic whose value on the data is ``value``."""
        every = leave_one_out(statistic)
        left = every[~np.isnan(every)]
        count = len(left)
        notes = ("undefined without some cluster, which was left out",) * (count < len(every))
        if count < 2:
            return cls(value, 0.0, 1, notes)
        squares = float(np.sum((left - left.mean()) ** 2))
        return cls(value, math.sqrt((count - 1) / count * squares), count - 1, notes)

    @property
    def agree(self) -> bool:
        """The clusters do not differ, so that they show no uncertainty."""
        return self.error < 1e-12

    def ends(self, level: float) -> tuple[float, float]:
        """Return the interval's ends."""
        arm = t_quantile(level, self.degrees) * self.error
        return self.value - arm, self.value + arm

    def p_value(self) -> float:
        """Return the two-sided p-value of 0; where no cluster differs, that of as many equal
        signs."""
        if self.agree:
            return 2.0**-self.degrees
        return t_tail(abs(self.value) / self.error, self.degrees)


def draw(statistic: Statistic, value: float, resampling: Resampling) -> Resamples | StudentT:
    """Resample a statistic whose value on the data is ``value``.

    Where its small-sample bias is known, the draws are centred on the value without it: macro
    averages over many small classes are biased by what no resample of the same few items shows.
    """
    if resampling.method == "t":
        return StudentT.of(statistic, value)
    count, name = len(statistic.clusters), f"bootstrap, {resampling.method}"
    parts = [statistic.at(weights) for weights in draws(count, statistic.n, resampling)]
    every = np.concatenate(parts)
    values = every[~np.isnan(every)]
    name += f", {resampling.resamples} resamples"
    notes = []
    if len(values) < len(every):
        share = 1 - len(values) / len(every)
        part = f"{share:.1%}" if share >= 0.0005 else "under 0.1%"
        notes.append(f"undefined in {part} of the resamples, which were left out")
    if len(values) < 2:
        return Resamples(np.full(2, value), Correction(), tuple(notes), name)
    correction, bias = Correction(), known_bias(statistic)
    if resampling.method == "bca" and float(np.ptp(values)) > 0:
        if bias is not None:
            value -= bias
            # Where a difference is exactly 0, no item that tells the two apart was drawn, and
            # there is no bias to take off: moved, it would make chance look like a finding.
            same = (values == 0.0) & getattr(statistic, "zero_is_exact", False)
            values = np.where(same, 0.0, values - values.mean() + value)
        correction = Correction.of(values, value, leave_one_out(statistic))
    return Resamples(values, correction, tuple(notes), name)


def known_bias(statistic: Statistic) -> float | None:
    """Return by how much a statistic is known to lie off the truth; None where it does not say."""
    found = getattr(statistic, "bias", None)
    return None if found is None else float(found)


Bounds = tuple[float | None, float | None] | None


def _no_variation(result: Estimate, bounds: Bounds) -> Estimate:
    """Where all resamples agree the bootstrap would claim certainty; Wilson does not."""
    low, high = bounds or (None, None)
    if low is not None and high is not None and result.value in (low, high):
        share_low, share_high = wilson(
            result.clusters if result.value == high else 0, result.clusters, result.level
        )
        span = high - low
        result = replace(result, low=low + span * share_low, high=low + span * share_high)
        method = "Wilson over clusters (every resample agrees)"
        return replace(result, method=method)
    result = replace(result, low=result.value, high=result.value, method="every resample agrees")
    return warned(result, "the items do not vary: the interval says nothing about new ones")


@dataclass(frozen=True, slots=True)
class Correction:
    """What BCa corrects for: ``bias`` of the median and ``skew`` (acceleration), in z units.

    Source: Efron (1987), JASA 82; Efron and Tibshirani (1993), eq. (14.9)-(14.15).
    """

    bias: float = 0.0
    skew: float = 0.0

    @classmethod
    def of(cls, values: FloatArray, value: float, jackknife: FloatArray) -> Correction:
        """Measure both from the resampled and the leave-one-out values."""
        left = jackknife[~np.isnan(jackknife)]
        gaps = left.mean() - left if len(left) else left
        spread = float(np.sum(gaps**2)) ** 1.5
        skew = float(np.sum(gaps**3)) / (6 * spread) if spread > 0 else 0.0
        return cls(NORMAL.inv_cdf(share_below(values, value)), skew)

    def to_resample(self, tail: float) -> float:
        """Return the share of resamples under the end of an interval that leaves out ``tail``."""
        shifted = self.bias + NORMAL.inv_cdf(tail)
        return NORMAL.cdf(self.bias + shifted / (1 - self.skew * shifted))

    def from_resample(self, share: float) -> float:
        """Return the tail whose interval ends where ``share`` of the resamples lie below."""
        shifted = NORMAL.inv_cdf(share) - self.bias
        return NORMAL.cdf(shifted / (1 + self.skew * shifted) - self.bias)


def share_below(values: FloatArray, value: float, ties: float = 0.5) -> float:
    """Return the share of resamples under ``value``, with ``ties`` of those equal; never 0 or 1."""
    same = np.isclose(values, value, rtol=0, atol=1e-12)
    below = float(np.sum((values < value) & ~same) + ties * np.sum(same))
    return (below + 0.5) / (len(values) + 1)


def ends(values: FloatArray, level: float, correction: Correction) -> tuple[float, float]:
    """Return the interval's ends from resampled values.

    Without correction this is the percentile interval (Efron and Tibshirani 1993, eq. (13.5)).
    """
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(values, [correction.to_resample(tail) for tail in tails])
    return float(low), float(high)


def leave_one_out(statistic: Statistic) -> FloatArray:
    """Return the statistic without each cluster in turn."""
    shortcut = getattr(statistic, "leave_one_out", None)
    if shortcut is not None:
        return np.asarray(shortcut(), dtype=np.float64)
    count = len(statistic.clusters)
    step = max(1, CELLS // max(count, statistic.n))
    parts = []
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        weights = np.ones((len(rows), count))
        weights[np.arange(len(rows)), rows] = 0.0
        parts.append(statistic.at(weights))
    return np.concatenate(parts)


def undefined(
    why: str, n: int, clusters: int, level: float = 0.95, warnings: Sequence[str] = ()
) -> Estimate:
    """Return an estimate without a value that says why."""
    notes = (why, *warnings)
    return Estimate(math.nan, math.nan, math.nan, n, clusters, level, "undefined", notes)


def size_warnings(n: int, clusters: int) -> tuple[str, ...]:
    """Return what to say of a sample too small for its interval to be trusted."""
    notes = []
    if 0 < n < FEW_ITEMS:
        notes.append(f"only {n} items: an interval from fewer than {FEW_ITEMS} is rough")
    if 0 < clusters < min(FEW_CLUSTERS, n):
        notes.append(
            f"only {clusters} independent groups: with fewer than {FEW_CLUSTERS} "
            "the interval tends to be too narrow"
        )
    return tuple(notes)


def warned(result: Estimate, *notes: str) -> Estimate:
    """Return ``result`` with more warnings."""
    return replace(result, warnings=(*result.warnings, *notes))
