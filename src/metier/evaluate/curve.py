"""Learning curves: what quality the data so far has bought, and what more of it would buy.

    curve = learning_curve(bench, lambda rows: Contender("tfidf", tfidf(rows, objective)))
    curve.points   # quality at 10, 25, 50 and 100% of the training rows
    curve.gains    # "500 more rows: about +0.021 [+0.008, +0.035]"

Measured on validation rows: no look at the sealed test set is spent. The shares are nested, and
keep groups together. The curve is the inverse power law ``quality = a - b n^-c`` (Hestness et al.
2017, arXiv 1712.00409, section 3; among the best of those compared by Viering and Loog 2021,
arXiv 2103.10948, section 4.1), fitted anew to every bootstrap resample of the validation groups.
The interval holds what the validation sample leaves open, and, where a share was drawn several
times, which rows were drawn. It does not hold that the curve may have another shape further out,
so nothing is said beyond twice the rows there are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from metier.core.errors import InputError
from metier.core.ledger import load_predictions
from metier.core.records import EvaluationReport
from metier.core.types import Estimate, Example
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.evaluate import evaluate
from metier.scoring import make_metric, metric_info, primary_metric, records_of
from metier.scoring.statistics.bootstrap import FloatArray, draws, undefined
from metier.scoring.types import Statistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.1, 0.25, 0.5, 1.0)
MORE = (100, 500, 1000)
FEWEST_POINTS = 3
MOST_BEYOND = 2.0
"""Nothing is foretold beyond this many times the rows there are."""
EXPONENTS = np.linspace(0.1, 2.0, 39)
SPLIT = "validation"
Fit = Callable[[Sequence[Example]], Contender]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Quality after learning from ``rows`` training rows, a ``share`` of all of them.

    ``estimate`` is the mean over ``evaluations`` (report ids), one per draw of that share.
    """

    share: float
    rows: int
    estimate: Estimate
    evaluations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gain:
    """What ``more`` further training rows would bring, in the metric's own unit (a fall is
    negative also where lower is better), and the quality that would be (``projected``)."""

    more: int
    estimate: Estimate
    projected: Estimate

    def __str__(self) -> str:
        e = self.estimate
        return f"{self.more:,} more rows: about {e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve, smallest share first. ``flat``: the interval of what the most further
    rows would bring holds zero."""

    rung: str
    metric: str
    points: tuple[CurvePoint, ...]
    gains: tuple[Gain, ...]
    words: tuple[str, ...]

    @property
    def flat(self) -> bool:
        """More of the same rows cannot be shown to help."""
        return all(one.estimate.low <= 0 <= one.estimate.high for one in self.gains[-1:])


def learning_curve(
    bench: Bench,
    fit: Fit,
    *,
    shares: Sequence[float] = SHARES,
    more: Sequence[int] = MORE,
    draws_per_share: int = 1,
) -> Curve:
    """Measure ``fit`` after each share of the training rows, and foretell what more would bring.

    ``shares`` lie in (0, 1]; each below 1 is drawn ``draws_per_share`` times, from other seeds.
    Raises InputError without validation rows or with fewer than three shares.
    """
    train = bench.examples("train")
    wanted = sorted({share for share in shares if 0 < share <= 1})
    if len(wanted) < FEWEST_POINTS:
        raise InputError(f"at least {FEWEST_POINTS} shares between 0 and 1", got=f"{shares}")
    bench.measured(SPLIT)  # its error says how to get validation rows
    reports: dict[float, list[EvaluationReport]] = {}
    sizes: dict[float, int] = {}
    for share in wanted:
        for seed in range(1 if share == 1 else draws_per_share):
            rows = nested_share(train, share, bench.config.seed + seed)
            reports.setdefault(share, []).append(_measure(bench, fit(rows), share, seed))
            sizes[share] = len(rows)
    return draw_curve(bench, reports, sizes, more)


def draw_curve(
    bench: Bench,
    reports: Mapping[float, Sequence[EvaluationReport]],
    sizes: Mapping[float, int],
    more: Sequence[int] = MORE,
) -> Curve:
    """Return the curve of stored evaluations on validation rows, by share of the training rows.

    ``sizes`` are the training rows of each share.
    """
    metric = primary_metric(bench.objective)
    order = sorted(reports)
    found = [[_statistic(bench, metric, one) for one in reports[share]] for share in order]
    clusters = found[0][0].clusters
    weights = np.concatenate(list(draws(len(clusters), found[0][0].n, bench.resampling)))
    table = _resampled(found, weights, bench.config.seed)
    points = tuple(
        CurvePoint(
            share,
            sizes[share],
            _mean_estimate([one.metrics[metric] for one in reports[share]], table[:, i]),
            tuple(one.id for one in reports[share]),
        )
        for i, share in enumerate(order)
    )
    values = np.asarray([[point.estimate.value for point in points]])
    gains = _gains(np.vstack([values, table]), points, metric, more)
    rung = reports[order[-1]][0].rung.partition("@")[0]
    curve = Curve(rung, metric, points, gains, ())
    return replace(curve, words=tuple(_words(curve)))


def nested_share(examples: Sequence[Example], share: float, seed: int = 0) -> list[Example]:
    """Return about ``share`` of the examples, whole groups, in their order.

    Under one seed a smaller share is a part of every larger one. At least one group is returned.
    """
    if share >= 1:
        return list(examples)
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.group or example.id, []).append(example)
    order = sorted(groups)
    random.Random(f"{seed}:share").shuffle(order)
    kept: set[str] = set()
    for group in order:
        if kept and len(kept) + len(groups[group]) > share * len(examples):
            break
        kept.update(example.id for example in groups[group])
    return [example for example in examples if example.id in kept]


def share_name(rung: str, share: float, seed: int = 0) -> str:
    """Return the rung under which a share is stored: ``tfidf@25%``, further draws ``…#1``."""
    return f"{rung}@{share:.0%}" + (f"#{seed}" if seed else "")


def _measure(bench: Bench, contender: Contender, share: float, seed: int) -> EvaluationReport:
    name = contender.rung if share == 1 else share_name(contender.rung, share, seed)
    return evaluate(bench, replace(contender, rung=name), split=SPLIT)


def _statistic(bench: Bench, metric: str, report: EvaluationReport) -> Statistic:
    records = records_of(load_predictions(bench.workspace, report))
    return make_metric(metric, objective=bench.objective).statistic(records)


def _resampled(found: list[list[Statistic]], weights: FloatArray, seed: int) -> FloatArray:
    """Return values [resamples, shares]: the same draw of validation groups for all shares, and
    of a share's several fits one at random."""
    rng = np.random.default_rng(seed)
    columns = []
    for statistics in found:
        values = np.stack([one.at(weights) for one in statistics], axis=1)
        picked: NDArray[np.int64] = rng.integers(0, len(statistics), size=len(weights))
        columns.append(values[np.arange(len(weights)), picked])
    table: FloatArray = np.stack(columns, axis=1)
    return table[~np.isnan(table).any(axis=1)]


def _mean_estimate(estimates: Sequence[Estimate], resampled: FloatArray) -> Estimate:
    """One draw keeps its own interval; of several, the interval holds which rows were drawn."""
    if len(estimates) == 1:
        return estimates[0]
    value = float(np.mean([one.value for one in estimates]))
    low, high = np.quantile(resampled, [(1 - estimates[0].level) / 2, (1 + estimates[0].level) / 2])
    method = f"cluster bootstrap over {len(estimates)} draws of the rows"
    return replace(
        estimates[0], value=value, low=min(low, value), high=max(high, value), method=method
    )


def _gains(
    table: FloatArray, points: Sequence[CurvePoint], metric: str, more: Sequence[int]
) -> tuple[Gain, ...]:
    """``table`` [1 + resamples, shares]: the data's own values, then the resamples'."""
    now, info = points[-1], metric_info(metric.partition("@")[0])
    reachable = [one for one in sorted(set(more)) if 0 < one <= (MOST_BEYOND - 1) * now.rows]
    if not reachable:
        reachable = [max(1, int((MOST_BEYOND - 1) * now.rows))]
    if len(table) < 2:
        none = undefined("no resample in which every share has a value", 0, 0)
        return tuple(Gain(one, none, none) for one in reachable)
    sizes = np.asarray([point.rows for point in points], dtype=np.float64)
    at = np.asarray([now.rows, *(now.rows + one for one in reachable)], dtype=np.float64)
    sign = 1.0 if info.higher_is_better else -1.0
    fitted = sign * fit_power_law(sizes, sign * table, at)
    fitted = np.clip(fitted, info.low, info.high)
    gained = fitted[:, 1:] - fitted[:, :1]
    then = np.clip(table[:, -1:] + gained, info.low, info.high)
    return tuple(
        Gain(
            rows, _of_resamples(now.estimate, gained[:, i]), _of_resamples(now.estimate, then[:, i])
        )
        for i, rows in enumerate(reachable)
    )


def _of_resamples(like: Estimate, values: FloatArray) -> Estimate:
    """An estimate of the first value with the interval of the others."""
    value = float(values[0])
    low, high = np.quantile(values[1:], [(1 - like.level) / 2, (1 + like.level) / 2])
    method = "power law, cluster bootstrap"
    return replace(
        like, value=value, low=min(float(low), value), high=max(float(high), value), method=method
    )


def fit_power_law(sizes: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    """Fit ``a - b n^-c`` with b >= 0 to each row of values [rows, sizes]; return it at ``at``.

    Least squares in a and b for each exponent of a grid, the best exponent per row; where the
    values fall with more data, the best non-falling curve is the flat one.
    """
    best = np.full(len(values), np.inf)
    result = np.repeat(values.mean(axis=1, keepdims=True), len(at), axis=1)
    flat = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    for exponent in EXPONENTS:
        design = np.stack([np.ones_like(sizes), -(sizes**-exponent)], axis=1)
        solved = values @ np.linalg.pinv(design).T
        error = ((values - solved @ design.T) ** 2).sum(axis=1)
        better = (solved[:, 1] >= 0) & (error < best - 1e-15) & (error <= flat)
        there = np.stack([np.ones_like(at), -(at**-exponent)], axis=1)
        result[better] = solved[better] @ there.T
        best[better] = error[better]
    return np.asarray(result, dtype=np.float64)


def _words(curve: Curve) -> list[str]:
    first, last = curve.points[0], curve.points[-1]
    found = [
        f"{curve.metric} went from {first.estimate} with {first.rows:,} rows to {last.estimate} "
        f"with all {last.rows:,}.",
        *(f"{gain}." for gain in curve.gains),
    ]
    if curve.flat:
        found.append(
            "The interval holds zero: better rows, other rows or another model may help; more of "
            "the same cannot be shown to."
        )
    return found
