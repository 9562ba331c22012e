"""Validity: does a metric follow what people think of the same replies?

    correlation(values, ratings, clusters)      # Spearman, with its cluster bootstrap interval

``values`` are the metric's, one per reply, turned so that more is better; ``ratings`` the panel's,
averaged over raters. Items of one customer or conversation are resampled together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.scoring.statistics.bootstrap import FloatArray, clusters_of, estimate
from metier.scoring.types import DEFAULT, Resampling

MIN_ITEMS = 20
"""Rated items under which no correlation is estimated: its interval could not be trusted."""


@dataclass(frozen=True)
class Correlation:
    """A correlation as a function of how often each cluster counts.

    ``ranked``: Spearman's (of mid-ranks, which are those of the resample), else Pearson's. NaN
    where one side does not vary.
    """

    clusters: tuple[str, ...]
    values: FloatArray
    ratings: FloatArray
    index: NDArray[np.int64]
    ranked: bool
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Rated items."""
        return len(self.values)

    def at(self, weights: FloatArray) -> FloatArray:
        """Return correlations [resamples] for weights [resamples, clusters]."""
        counts = weights[:, self.index]
        sides = [self.values, self.ratings]
        if self.ranked:
            first, second = (midranks(side, counts) for side in sides)
        else:
            first, second = (np.broadcast_to(side, counts.shape) for side in sides)
        return _pearson(first, second, counts)


def midranks(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Return each item's mid-rank [resamples, items] where items occur ``counts`` times."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    ranks: FloatArray = (np.cumsum(sizes, axis=1) - sizes + (sizes + 1) / 2)[:, group]
    return ranks


def correlation(
    values: Sequence[float],
    ratings: Sequence[float],
    records: Sequence[Score],
    *,
    ranked: bool = True,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return the correlation of two columns with its interval; ``records`` give the clusters.

    Raises InputError with fewer than ``MIN_ITEMS`` items. A column without variation has no
    correlation: the estimate is undefined and says so.
    """
    if len(values) < MIN_ITEMS:
        raise InputError(
            f"at least {MIN_ITEMS} rated replies on which the metric is defined",
            got=str(len(values)),
            remedy="have more replies rated",
        )
    clusters, index = clusters_of(records)
    columns = np.asarray(values, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    names = ("the metric", "the ratings")
    flat = [name for name, one in zip(names, columns, strict=True) if np.ptp(one) == 0]
    notes = tuple(f"{name} gave every reply the same value" for name in flat)
    found = Correlation(clusters, *columns, index, ranked, notes)
    return estimate(found, resampling, (-1.0, 1.0))


def _pearson(first: FloatArray, second: FloatArray, counts: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        total = counts.sum(axis=1, keepdims=True)
        x = first - (counts * first).sum(axis=1, keepdims=True) / total
        y = second - (counts * second).sum(axis=1, keepdims=True) / total
        joint = (counts * x * y).sum(axis=1)
        spreads = [np.maximum((counts * side**2).sum(axis=1), 0.0) for side in (x, y)]
        flat = np.minimum(*spreads) < 1e-12
        result: FloatArray = np.where(flat, np.nan, joint / np.sqrt(spreads[0] * spreads[1]))
    return result
