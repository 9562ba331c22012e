"""The building blocks metrics are made of.

A metric is a name (its ``MetricInfo``) and a way to a ``Statistic``. ``Measured`` turns a function
from records to a statistic into a Metric; ``mean_of`` does so for a per-item value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metier.core.types import Estimate, Score
from metier.scoring.registry import metrics
from metier.scoring.statistics.bootstrap import FloatArray, Sums, estimate, size_warnings
from metier.scoring.statistics.intervals import effective_n, wilson
from metier.scoring.tasks import metric_info
from metier.scoring.types import (
    DEFAULT,
    Metric,
    MetricInfo,
    Resampling,
    Statistic,
)


@dataclass(frozen=True)
class Measured:
    """A metric whose interval comes from the cluster bootstrap."""

    info: MetricInfo
    build: Callable[[Sequence[Score]], Statistic]

    def statistic(self, records: Sequence[Score]) -> Statistic:
        """Return the value as a function of cluster weights."""
        return self.build(records)

    def __call__(self, records: Sequence[Score], resampling: Resampling = DEFAULT) -> Estimate:
        """Return value and interval."""
        bounds = (self.info.low, self.info.high)
        return estimate(self.build(records), resampling, bounds)


@dataclass(frozen=True)
class Proportion(Measured):
    """A share of yes/no items: Wilson's interval on the effective number of items.

    The bootstrap is too narrow near 0 and 1, just where good models are; Wilson's is not, and the
    power formulas of ``power`` are its exact counterpart.
    """

    def __call__(self, records: Sequence[Score], resampling: Resampling = DEFAULT) -> Estimate:
        """Return value and interval."""
        found = self.build(records)
        if not isinstance(found, Sums) or found.n == 0:
            return estimate(found, resampling)
        table = found.matrix.toarray()
        hits, sizes = table[:, 0], table[:, 1]
        worth = effective_n(hits.tolist(), sizes.tolist(), resampling.level)
        value = float(hits.sum() / sizes.sum())
        count = len(found.clusters)
        notes = (*found.warnings, *size_warnings(found.n, count))
        result = Estimate(value, math.nan, math.nan, found.n, count, resampling.level, "", notes)
        if count < 2 and found.n > 1:
            note = "all items belong to one cluster: no interval can be had"
            return replace(result, warnings=(*notes, note))
        low, high = wilson(value * worth, worth, resampling.level)
        method = "Wilson" if worth == found.n else f"Wilson on {worth:.0f} effective items"
        return replace(result, low=low, high=high, method=method)


Grade = Callable[[Score], float | None]


def mean_of(name: str, grade: Grade, why: str = "have no reference") -> Metric:
    """Return the metric called ``name``: the mean of ``grade`` over the items it is defined for.

    ``why`` says in words why ``grade`` gives None.
    """
    info = metric_info(name)
    kind = Proportion if info.kind == "proportion" else Measured
    return kind(info, lambda records: mean_statistic(records, [grade(r) for r in records], why))


def mean_statistic(
    records: Sequence[Score], values: Sequence[float | None], why: str = "are undefined"
) -> Sums:
    """Return the mean of values as sums per cluster; None values are left out, with a warning."""
    kept = [
        (record, float(value))
        for record, value in zip(records, values, strict=True)
        if value is not None and not math.isnan(value)
    ]
    left_out = len(records) - len(kept)
    notes = (f"{left_out} of {len(records)} items {why} and were left out",) if left_out else ()
    cells = [cell for i, (_, v) in enumerate(kept) for cell in ((i, 0, v), (i, 1, 1.0))]
    return Sums.of([record for record, _ in kept], cells, 2, _ratio, notes)


def _ratio(sums: FloatArray) -> FloatArray:
    result: FloatArray = np.asarray(sums[:, 0] / sums[:, 1])
    return result


@dataclass(frozen=True)
class GradeScorer:
    """A Scorer around a plain function of one record."""

    name: str
    grade: Grade
    why: str = "no reference"

    def __call__(self, record: Score) -> Score:
        """Return ``record`` with its value."""
        value = self.grade(record)
        if value is None:
            return replace(record, value=None, detail={**record.detail, "why": self.why})
        return replace(record, value=value)


@metrics.register("mean")
def mean() -> Metric:
    """The mean of the values a Scorer left in the records."""
    return Measured(
        metric_info("mean"), lambda records: mean_statistic(records, [r.value for r in records])
    )
