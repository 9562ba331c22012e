"""Does an automatic metric follow the panel? Rank correlations of both, with intervals.

Spearman's is ``validity.correlation``. Kendall's tau-b counts pairs of replies: how much more often
metric and panel put two replies in the same order than in the opposite one, ties allowed for.
Source: Kendall (1945), Biometrika 33(3), eq. for tau-b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Estimate, Score
from metier.scoring.statistics.bootstrap import FloatArray, clusters_of, estimate, undefined
from metier.scoring.statistics.validity import MIN_ITEMS, correlation
from metier.scoring.types import DEFAULT, Resampling

MOST_PAIRED = 1_500
"""Replies above which tau is taken of a sample of them: the pairs grow with the square."""


@dataclass(frozen=True)
class Kendall:
    """Tau-b as a function of how often each cluster counts; NaN where one side never varies."""

    clusters: tuple[str, ...]
    values: FloatArray
    ratings: FloatArray
    index: NDArray[np.int64]
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Rated replies."""
        return len(self.values)

    @cached_property
    def _signs(self) -> tuple[FloatArray, FloatArray]:
        first, second = (
            np.sign(one[:, None] - one[None, :]).astype(np.float64)
            for one in (self.values, self.ratings)
        )
        return first, second

    def at(self, weights: FloatArray) -> FloatArray:
        """Return tau-b [resamples] for weights [resamples, clusters]."""
        counts = weights[:, self.index]
        first, second = self._signs
        both, ours, theirs = (
            np.einsum("ri,ri->r", counts @ table, counts)
            for table in (first * second, np.abs(first), np.abs(second))
        )
        spread = np.sqrt(ours * theirs)
        there = spread > 0
        return np.asarray(np.where(there, both / np.where(there, spread, 1.0), np.nan))


def kendall(
    values: Sequence[float],
    ratings: Sequence[float],
    records: Sequence[Score],
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return Kendall's tau-b with its interval; ``records`` give the clusters."""
    columns = np.asarray(values, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    notes: tuple[str, ...] = ()
    if len(columns[0]) > MOST_PAIRED:
        rng = np.random.default_rng(resampling.seed)
        chosen = np.sort(rng.choice(len(columns[0]), MOST_PAIRED, replace=False))
        columns = columns[0][chosen], columns[1][chosen]
        notes = (f"tau of {MOST_PAIRED} of {len(records)} replies, drawn at random",)
        records = [records[i] for i in chosen]
    clusters, index = clusters_of(records)
    return estimate(Kendall(clusters, *columns, index, notes), resampling, (-1.0, 1.0))


@dataclass(frozen=True, slots=True)
class MetricValidity:
    """How one metric goes with the panel's ratings."""

    metric: str
    spearman: Estimate
    kendall: Estimate


def metrics_with_panel(
    metrics: Mapping[str, Mapping[str, float]],
    panel: Mapping[str, float],
    clusters: Mapping[str, str] | None = None,
    resampling: Resampling = DEFAULT,
) -> list[MetricValidity]:
    """Return each metric's correlation with the panel over the replies that have both.

    Both map a reply to a value, turned so that more is better. With fewer than ``MIN_ITEMS``
    replies there is no number, and the estimate says so.
    """
    found = []
    for name in sorted(metrics):
        shared = [one for one in panel if one in metrics[name]]
        records = [Score(one, None, cluster=(clusters or {}).get(one, "")) for one in shared]
        columns = [metrics[name][one] for one in shared], [panel[one] for one in shared]
        if len(shared) < MIN_ITEMS:
            why = f"{len(shared)} replies have both: fewer than {MIN_ITEMS} show nothing"
            none = undefined(why, len(shared), len(shared), resampling.level)
            found.append(MetricValidity(name, none, none))
            continue
        ranks = correlation(*columns, records, resampling=resampling)
        found.append(MetricValidity(name, ranks, kendall(*columns, records, resampling)))
    return found
