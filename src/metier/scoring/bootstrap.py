"""Resampling by cluster: intervals, paired differences, permutation.

Items of one patient, customer or conversation are not independent, so whole clusters are drawn
with replacement. A draw is a vector of counts per cluster; a ``Statistic`` maps a matrix of such
vectors to values at once, so 2,000 resamples cost one sparse product.

Source: Efron and Tibshirani (1993), chapters 13-14; cluster bootstrap in Field and Welsh (2007),
JRSS B 69(3); paired comparison in Koehn (2004), EMNLP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.scoring.intervals import NORMAL, wilson
from metier.scoring.types import DEFAULT, Metric, Resampling, Statistic

FloatArray = NDArray[np.float64]
FEW_ITEMS = 100
FEW_CLUSTERS = 30
_CELLS = 4_000_000  # weights held in memory at once


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
    (or [resamples, m] where several numbers are wanted at once).
    """

    clusters: tuple[str, ...]
    n: int
    matrix: Any
    reduce: Callable[[FloatArray], FloatArray]
    warnings: tuple[str, ...] = ()

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
    step = max(1, _CELLS // max(1, clusters, width))
    for start in range(0, resampling.resamples, step):
        rows = min(step, resampling.resamples - start)
        picked = rng.integers(0, clusters, size=(rows, clusters))
        picked += np.arange(rows)[:, None] * clusters
        counts = np.bincount(picked.ravel(), minlength=rows * clusters)
        yield counts.reshape(rows, clusters).astype(np.float64)


def resampled(statistic: Statistic, resampling: Resampling) -> FloatArray:
    """Return the statistic's value in every resample, NaN where undefined."""
    count = len(statistic.clusters)
    parts = [statistic.at(weights) for weights in draws(count, statistic.n, resampling)]
    return np.concatenate(parts)


def whole(statistic: Statistic) -> float:
    """Return the statistic on the data as it is."""
    return float(statistic.at(np.ones((1, len(statistic.clusters))))[0])


def estimate(statistic: Statistic, resampling: Resampling, bounds: Bounds = None) -> Estimate:
    """Return value and bootstrap interval of a statistic, with warnings in words.

    ``bounds`` (low, high) are the metric's possible values, used where every resample agrees.
    """
    n, count = statistic.n, len(statistic.clusters)
    notes = (*statistic.warnings, *size_warnings(n, count))
    if n == 0:
        return undefined("no items to measure", 0, 0, resampling.level, notes)
    value = whole(statistic)
    if math.isnan(value):
        return undefined("undefined on these items", n, count, resampling.level, notes)
    result = Estimate(value, math.nan, math.nan, n, count, resampling.level, "", notes)
    if count < 2:
        return _warn(result, "all items belong to one cluster: no interval can be had")
    return _bootstrap_interval(result, statistic, resampling, bounds)


def _bootstrap_interval(
    result: Estimate, statistic: Statistic, resampling: Resampling, bounds: Bounds
) -> Estimate:
    values = resampled(statistic, resampling)
    defined = values[~np.isnan(values)]
    if len(defined) < len(values):
        share = 1 - len(defined) / len(values)
        result = _warn(result, f"undefined in {share:.1%} of the resamples, which were left out")
    if len(defined) < 2:
        return _warn(result, "too few resamples are defined: no interval can be had")
    if float(np.ptp(defined)) < 1e-12:
        return _no_variation(result, bounds)
    jackknife = leave_one_out(statistic) if resampling.method == "bca" else None
    low, high = percentile(defined, result.value, resampling.level, jackknife)
    method = f"cluster bootstrap, {resampling.method}, {resampling.resamples} resamples"
    return replace(result, low=low, high=high, method=method)


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
    return _warn(result, "the items do not vary: the interval says nothing about new ones")


def percentile(
    values: FloatArray, value: float, level: float, jackknife: FloatArray | None = None
) -> tuple[float, float]:
    """Return the percentile interval, or BCa's where ``jackknife`` values are given.

    Source: Efron and Tibshirani (1993), eq. (13.5) and (14.9)-(14.15).
    """
    tails = ((1 - level) / 2, (1 + level) / 2)
    if jackknife is not None:
        tails = _bca_tails(values, value, tails, jackknife)
    low, high = np.quantile(values, tails)
    return float(low), float(high)


def _bca_tails(
    values: FloatArray, value: float, tails: tuple[float, float], jackknife: FloatArray
) -> tuple[float, float]:
    below = (np.sum(values < value) + 0.5 * np.sum(values == value)) / len(values)
    bias = NORMAL.inv_cdf(min(max(float(below), 1e-6), 1 - 1e-6))
    left = jackknife[~np.isnan(jackknife)]
    gaps = left.mean() - left
    spread = float(np.sum(gaps**2)) ** 1.5
    skew = float(np.sum(gaps**3)) / (6 * spread) if spread > 0 else 0.0
    shifted = [bias + NORMAL.inv_cdf(tail) for tail in tails]
    low, high = (NORMAL.cdf(bias + s / (1 - skew * s)) for s in shifted)
    return low, high


def leave_one_out(statistic: Statistic) -> FloatArray:
    """Return the statistic without each cluster in turn."""
    count = len(statistic.clusters)
    step = max(1, _CELLS // max(count, statistic.n))
    parts = []
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        weights = np.ones((len(rows), count))
        weights[np.arange(len(rows)), rows] = 0.0
        parts.append(statistic.at(weights))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Paired:
    """``a - b`` on the same items: the difference with its interval, and a two-sided p-value."""

    estimate: Estimate
    p_value: float


def paired_difference(
    metric: Metric,
    a: Sequence[Score],
    b: Sequence[Score],
    resampling: Resampling = DEFAULT,
    *,
    factor: float = 1.0,
) -> Paired:
    """Return metric(a) - factor * metric(b), both under the same resamples of the same clusters.

    The p-value is 2 min(P(d* <= 0), P(d* >= 0)) with one added to either count (Davison and
    Hinkley 1997, section 4.2), so that it agrees with the percentile interval and is never 0.
    Raises InputError when the two do not hold the same items.
    """
    joint, count, n = _joint(metric, a, b)
    alone = (metric.statistic(a).warnings, metric.statistic(b).warnings)
    notes = (*dict.fromkeys(alone[0] + alone[1]), *size_warnings(n, count))
    nothing = np.zeros((1, count))
    ones = np.ones((1, count))
    if n == 0:
        return Paired(undefined("no items to compare", 0, 0, resampling.level, notes), math.nan)
    value = float(_difference(joint, ones, nothing, factor)[0])
    if math.isnan(value):
        found = undefined("undefined on these items", n, count, resampling.level, notes)
        return Paired(found, math.nan)
    result = Estimate(value, math.nan, math.nan, n, count, resampling.level, "", notes)
    if count < 2:
        note = "all items belong to one cluster: no interval can be had"
        return Paired(_warn(result, note), math.nan)
    parts = [
        _difference(joint, weights, np.zeros_like(weights), factor)
        for weights in draws(count, 2 * n, resampling)
    ]
    return _paired_interval(result, np.concatenate(parts), resampling, _span(metric))


def _difference(
    joint: Statistic, weights: FloatArray, others: FloatArray, factor: float = 1.0
) -> FloatArray:
    left, right = np.hstack([weights, others]), np.hstack([others, weights])
    return joint.at(left) - factor * joint.at(right)


def _span(metric: Metric) -> float | None:
    low, high = metric.info.low, metric.info.high
    return None if low is None or high is None else high - low


def _paired_interval(
    result: Estimate, values: FloatArray, resampling: Resampling, span: float | None
) -> Paired:
    values = values[~np.isnan(values)]
    if len(values) < 2:
        found = _warn(result, "too few resamples are defined: no interval can be had")
        return Paired(found, math.nan)
    fewer = min(int(np.sum(values <= 0)), int(np.sum(values >= 0)))
    p_value = min(1.0, 2 * (fewer + 1) / (len(values) + 1))
    if float(np.ptp(values)) < 1e-12:
        return Paired(_same_everywhere(result, span), p_value)
    low, high = percentile(values, result.value, resampling.level)
    method = f"paired cluster bootstrap, percentile, {resampling.resamples} resamples"
    return Paired(replace(result, low=low, high=high, method=method), p_value)


def _same_everywhere(result: Estimate, span: float | None) -> Estimate:
    """A difference that never varies: how much of what was not seen may still differ."""
    value = result.value
    if span is None:
        result = replace(result, low=value, high=value, method="every resample agrees")
        return _warn(result, "the difference does not vary: the interval may be too narrow")
    reach = wilson(0, result.clusters, result.level)[1] * span
    method = "Wilson over clusters (every resample agrees)"
    low, high = max(-span, value - reach), min(span, value + reach)
    return replace(result, low=low, high=high, method=method)


def _joint(metric: Metric, a: Sequence[Score], b: Sequence[Score]) -> tuple[Statistic, int, int]:
    """One statistic over both systems: the first clusters are a's, the rest b's."""
    first = {record.example_id: record for record in a}
    second = {record.example_id: record for record in b}
    if len(first) != len(a) or len(second) != len(b):
        raise InputError("each item once per system", got="an item that appears twice")
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        raise InputError(
            "the same items in both systems",
            got=f"{len(odd)} items that only one of them answered, e.g. {odd[0]}",
            remedy="compare on the items both answered",
        )
    ids = sorted(first)
    names, index = clusters_of([first[i] for i in ids])
    keys = [f"{c:09d}" for c in index]
    both = [replace(first[i], cluster="a" + key) for i, key in zip(ids, keys, strict=True)]
    both += [replace(second[i], cluster="b" + key) for i, key in zip(ids, keys, strict=True)]
    joint = metric.statistic(both)
    return _complete(joint, len(names)), len(names), len(ids)


@dataclass(frozen=True)
class _Spread:
    """A statistic some clusters dropped out of, seen through the full set of clusters."""

    inner: Statistic
    clusters: tuple[str, ...]
    columns: NDArray[np.int64]

    @property
    def n(self) -> int:
        return self.inner.n

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.inner.warnings

    def at(self, weights: FloatArray) -> FloatArray:
        return self.inner.at(weights[:, self.columns])


def _complete(joint: Statistic, count: int) -> Statistic:
    names = tuple(f"{side}{c:09d}" for side in "ab" for c in range(count))
    if joint.clusters == names:
        return joint
    place = {name: i for i, name in enumerate(names)}
    return _Spread(
        joint, names, np.asarray([place[name] for name in joint.clusters], dtype=np.int64)
    )


def permutation_test(
    metric: Metric, a: Sequence[Score], b: Sequence[Score], resampling: Resampling = DEFAULT
) -> float:
    """Return the two-sided p-value of approximate randomisation.

    Under the null the two systems are exchangeable within a cluster: in each round every
    cluster's answers are swapped with probability 1/2. Source: Noreen (1989); Yeh (2000), COLING.
    """
    joint, count, _ = _joint(metric, a, b)
    rng = np.random.default_rng(resampling.seed)
    seen = abs(float(_difference(joint, np.ones((1, count)), np.zeros((1, count)))[0]))
    step = max(1, _CELLS // max(1, joint.n))
    hits = total = 0
    for start in range(0, resampling.resamples, step):
        rows = min(step, resampling.resamples - start)
        kept = rng.integers(0, 2, size=(rows, count)).astype(np.float64)
        gaps = np.abs(_difference(joint, kept, 1 - kept))
        gaps = gaps[~np.isnan(gaps)]
        hits += int(np.sum(gaps >= seen - 1e-12))
        total += len(gaps)
    return (hits + 1) / (total + 1)


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


def _warn(result: Estimate, note: str) -> Estimate:
    return replace(result, warnings=(*result.warnings, note))
