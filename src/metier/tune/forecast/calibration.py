"""What earlier runs say of forecasts: how much of what was forecast came true, and how widely.

Every finished run that was forecast leaves two ratios, actual over forecast, of memory above what
was held before and of training time. They are pooled per machine, family of method, and whether a
probe was run; a few runs move the forecast a little, many move it all the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

PRIOR = 2.0
"""Runs' worth of belief that a forecast is right as it is."""
NEWEST = 20
LEAST_SPREAD = 0.08


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run came out beside its forecast: ratios actual / forecast."""

    machine: str
    family: str
    probed: bool
    memory: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Factor:
    """What to multiply a forecast by, the share by which 9 of 10 still differ (None: not known
    yet), and from how many runs."""

    ratio: float = 1.0
    spread: float | None = None
    n: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The factors for one machine, family and kind of forecast."""

    memory: Factor = Factor()
    seconds: Factor = Factor()


def calibration(
    outcomes: Iterable[Outcome], machine: str, family: str, probed: bool
) -> Calibration:
    """Pool the newest outcomes (given oldest first) that are like the forecast to be made."""
    alike = [
        one
        for one in outcomes
        if (one.machine, one.family, one.probed) == (machine, family, probed)
    ][-NEWEST:]
    return Calibration(_factor([o.memory for o in alike]), _factor([o.seconds for o in alike]))


def _factor(ratios: list[float]) -> Factor:
    logs = [math.log(ratio) for ratio in ratios if ratio > 0 and math.isfinite(ratio)]
    if not logs:
        return Factor()
    mean = sum(logs) / (len(logs) + PRIOR)
    if len(logs) < 3:
        return Factor(math.exp(mean), None, len(logs))
    spread = math.exp(1.65 * max(stdev(logs), abs(fmean(logs) - mean))) - 1
    return Factor(math.exp(mean), max(LEAST_SPREAD, spread), len(logs))
