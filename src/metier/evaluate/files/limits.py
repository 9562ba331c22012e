"""Limits on metrics, kept or missed: what ``--fail-under`` asks of a run or of a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from metier.core.errors import InputError, nearest
from metier.core.types import Estimate
from metier.scoring.tasks import shown_info


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A limit that a system does not surely keep. ``end`` is the interval's end that decides."""

    system: str
    metric: str
    limit: float
    end: float
    words: str


def shortfalls(
    measured: Mapping[str, Mapping[str, Estimate]], limits: Mapping[str, float]
) -> list[Shortfall]:
    """Return where the interval's worse end misses a limit; ``measured`` is system -> metrics.

    A lower end under the limit for metrics where more is better, an upper end over it where less
    is; no interval is a shortfall. Raises InputError for a metric that was not measured.
    """
    missed = []
    for metric, limit in limits.items():
        for system, metrics in measured.items():
            if metric not in metrics:
                raise InputError(
                    "a metric that was measured", got=repr(metric), remedy=nearest(metric, metrics)
                )
            estimate = metrics[metric]
            upward = shown_info(metric.partition("@")[0]).higher_is_better
            end = estimate.low if upward else estimate.high
            if math.isnan(end) or (end < limit if upward else end > limit):
                side, asked = ("lower", "at least") if upward else ("upper", "at most")
                words = f"{system}: {metric} {estimate}: the {side} end is not {asked} {limit:g}"
                missed.append(Shortfall(system, metric, limit, end, words))
    return missed
