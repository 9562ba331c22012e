"""The mean of some items against the mean of the rest: a difference, its interval, its p-value.

Both come from one standard error, so that they agree, and cost next to nothing, so that hundreds
of parts can be looked at. Whole clusters vary, not items: each cluster's residuals are summed
(linearised ratio, Cochran, Sampling Techniques, 1977, eq. (6.13)). Where values have ends, one
item at either end is added to both sides first, without which 20 right answers of 20 would look
certain: Agresti and Caffo (2000), The American Statistician 54(4). Degrees of freedom after Welch
(1947), counting clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Estimate
from metier.scoring import Paired
from metier.scoring.statistics.bootstrap import size_warnings, undefined, warned
from metier.scoring.statistics.intervals import t_quantile

METHOD = "difference of means, Agresti-Caffo, by cluster"
FloatArray = NDArray[np.float64]
Span = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its mean, the mean with the added items, and residuals summed by cluster."""

    mean: float
    centre: float
    names: NDArray[np.int64]
    residuals: FloatArray
    added: int
    variance: float

    @classmethod
    def of(cls, values: FloatArray, clusters: NDArray[np.int64], span: Span) -> Side:
        """Sum up the items of one side, one at least."""
        ends = np.asarray(span if span is not None else (), dtype=np.float64)
        size = len(values) + len(ends)
        centre = float((values.sum() + ends.sum()) / size)
        names, places = np.unique(clusters, return_inverse=True)
        residuals = np.bincount(places, weights=values - centre, minlength=len(names)) / size
        spread = len(names) / max(len(names) - 1, 1) * float((residuals**2).sum())
        variance = spread + float((((ends - centre) / size) ** 2).sum())
        return cls(float(values.mean()), centre, names, residuals, len(ends), variance)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of its variance."""
        return max(len(self.names) - 1 + self.added, 1)


def contrast(
    values: FloatArray,
    clusters: NDArray[np.int64],
    inside: NDArray[np.bool_],
    span: Span = (0.0, 1.0),
    level: float = 0.95,
) -> Paired:
    """Return mean(inside) - mean(outside); ``clusters`` are indices, ``span`` the values' ends.

    ``n`` and ``clusters`` of the estimate are those inside. All is NaN where a side has fewer than
    two clusters.
    """
    n, count = int(inside.sum()), len(np.unique(clusters[inside]))
    if count < 2 or len(np.unique(clusters[~inside])) < 2:
        words = "one of the two sides has fewer than two independent groups"
        return Paired(undefined(words, n, count, level), math.nan)
    here, there = (Side.of(values[kept], clusters[kept], span) for kept in (inside, ~inside))
    value, centre = here.mean - there.mean, here.centre - there.centre
    result = Estimate(value, value, value, n, count, level, METHOD, size_warnings(n, count))
    variance = here.variance + there.variance + _shared(here, there)
    if variance <= 0:  # only where values have no ends
        return Paired(warned(result, "the items do not vary"), 1.0 if value == 0 else math.nan)
    error = math.sqrt(variance)
    own = ((here.variance, here.freedom), (there.variance, there.freedom))
    freedom = (here.variance + there.variance) ** 2 / sum(v * v / f for v, f in own)
    arm = t_quantile(level, freedom) * error
    width = math.inf if span is None else span[1] - span[0]
    low, high = max(centre - arm, -width), min(centre + arm, width)
    result = replace(result, low=min(low, value), high=max(high, value))
    return Paired(result, _two_sided(centre / error, freedom))


def _shared(here: Side, there: Side) -> float:
    """What clusters with items on both sides take off the variance: they move both alike."""
    _, ours, theirs = np.intersect1d(here.names, there.names, return_indices=True)
    return -2 * float((here.residuals[ours] * there.residuals[theirs]).sum())


def _two_sided(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return min(1.0, 2 * float(stdtr(freedom, -abs(t))))


def at_least(count: int, mean: float, worth: float) -> float:
    """Return the chance of ``count`` or more, where ``mean`` itself was estimated.

    Poisson with a gamma-distributed mean that is worth ``worth`` counts: a negative binomial.
    """
    from scipy.special import betainc

    return float(betainc(count, worth, mean / (worth + mean))) if count else 1.0
