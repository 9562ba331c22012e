"""Latency, tokens and handling time, from what came with each reply in the record's ``detail``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metier.core.types import Score
from metier.scoring.base import Measured, mean_of
from metier.scoring.registry import metrics
from metier.scoring.statistics.bootstrap import Quantile, clusters_of
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric


def _number(record: Score, key: str) -> float | None:
    value = record.detail.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None  # type: ignore[arg-type]


def items_for_quantile(q: float, level: float = 0.95) -> int:
    """Return the fewest items whose largest (or smallest) value can bound the quantile ``q``.

    Distribution-free: all n items lie under the quantile with probability q^n, which must be at
    most (1 - level) / 2. Source: Hahn and Meeker (1991), Statistical Intervals, section 5.2.
    """
    tail = (1 - level) / 2
    return math.ceil(math.log(tail) / math.log(max(q, 1 - q)))


def _mean(name: str, key: str, why: str) -> None:
    @metrics.register(name)
    def factory() -> Metric:
        return mean_of(name, lambda record: _number(record, key), why)


def _quantile(name: str, q: float, key: str, what: str) -> None:
    @metrics.register(name)
    def factory() -> Metric:
        return Measured(metric_info(name), lambda records: _time_quantile(records, q, key, what))


def _time_quantile(records: Sequence[Score], q: float, key: str, what: str) -> Quantile:
    values = [_number(record, key) for record in records]
    kept = [record for record, value in zip(records, values, strict=True) if value is not None]
    notes = []
    if len(kept) < len(records):
        gone = len(records) - len(kept)
        notes.append(f"{gone} of {len(records)} items have no {what} and were left out")
    needed = items_for_quantile(q)
    if 0 < len(kept) < needed:
        notes.append(f"{len(kept)} items cannot bound this quantile from above: {needed} can")
    names, index = clusters_of(kept)
    numbers = np.asarray([value for value in values if value is not None], dtype=np.float64)
    return Quantile(names, numbers, index, q, tuple(notes))


_mean("latency_mean_s", "latency_s", "have no latency")
_mean("input_tokens_mean", "input_tokens", "have no token count")
_mean("output_tokens_mean", "output_tokens", "have no token count")
_mean("handling_time_mean_s", "handling_s", "have no handling time")
_quantile("latency_p50_s", 0.5, "latency_s", "latency")
_quantile("latency_p95_s", 0.95, "latency_s", "latency")
_quantile("first_token_p50_s", 0.5, "first_token_s", "time to the first token")
_quantile("first_token_p95_s", 0.95, "first_token_s", "time to the first token")
