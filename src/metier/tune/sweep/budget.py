"""What a sweep has cost, and whether the next piece is still to be paid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from metier.core.costs import Prices
from metier.tune.sweep.config import Budget, Money, Runs, Time, Trials
from metier.tune.sweep.halving import Piece, Trial

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Spent:
    """``runs`` in full runs of today's settings; ``seconds`` of training and measuring."""

    runs: float
    trials: int
    seconds: float
    usd: float


def usd_per_s(prices: Prices, device: str) -> float:
    """What a second of the machine costs; ``device`` is "cpu" or a GPU under any name."""
    hourly = prices.usd_per_cpu_hour if device == "cpu" else prices.usd_per_gpu_hour
    return hourly / HOUR_S


def spent(trials: Sequence[Trial], rate: float) -> Spent:
    """Add up what the measured pieces took; ``rate`` in dollars a second."""
    seconds = sum(m.train_s + m.measure_s for one in trials for m in one.measured.values())
    runs = sum(one.length * one.last.step / one.last.steps for one in trials if one.last)
    begun = sum(1 for one in trials if one.run or one.measured or one.failed)
    return Spent(runs, begun, seconds, seconds * rate)


def expected_s(trials: Sequence[Trial], piece: Piece, full_run_s: float | None) -> float | None:
    """Seconds that a piece will take, by those before it or by ``full_run_s``; None: not known."""
    measured = [m for one in trials for m in one.measured.values()]
    here = piece.trial.last
    share = (piece.share - (here.step / here.steps if here else 0.0)) * piece.trial.length
    done = spent(trials, 0.0).runs
    if measured and done > 0:
        per_run = sum(m.train_s for m in measured) / done
        return share * per_run + fmean(m.measure_s for m in measured)
    return None if full_run_s is None else share * full_run_s


def refusal(
    budget: Budget, trials: Sequence[Trial], piece: Piece, rate: float, full_run_s: float | None
) -> str | None:
    """Say why a piece is not to be begun any more; None where the budget has room for it.

    Runs and trials are kept to by the plan; time and money are watched here.
    """
    seconds = expected_s(trials, piece, full_run_s) or 0.0
    so_far = spent(trials, rate)
    if isinstance(budget, Time) and so_far.seconds + seconds > budget.hours * HOUR_S:
        hours = so_far.seconds / HOUR_S
        return f"{hours:.2f} of {budget.hours:g} hours are used, and the next piece needs more"
    if isinstance(budget, Money) and so_far.usd + seconds * rate > budget.usd:
        return f"${so_far.usd:.2f} of ${budget.usd:g} are spent, and the next piece costs more"
    return None


def most_runs(budget: Budget, rate: float, full_run_s: float | None) -> float:
    """Return the full runs that a budget pays for, as far as that can be said beforehand."""
    if isinstance(budget, Runs):
        return budget.at_most
    if full_run_s is None or isinstance(budget, Trials):
        return math.inf
    seconds = budget.hours * HOUR_S if isinstance(budget, Time) else budget.usd / max(rate, 1e-12)
    return seconds / full_run_s
