"""What a sweep came to: the winner with its interval, and whether the next best is really worse.

Who is chosen as the best of many on some rows looks better on these rows than on others. How much
is estimated by choosing again in every bootstrap resample of the rows and comparing the chosen
one's value there with its value on all rows (the optimism of Efron 1983, JASA 78, section 2, of a
choice instead of a fit), at every rung; the largest is taken, which is on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metier.core.types import Estimate, Json, Score
from metier.scoring import Metric, Resampling, paired_difference
from metier.scoring.statistics.bootstrap import draws
from metier.tune.sweep.budget import Spent
from metier.tune.sweep.halving import Trial, best, rank

Records = Callable[[str], Sequence[Score]]
"""The graded answers of a stored evaluation."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Beside:
    """The winner against the next best: ``difference`` is winner - other on the same rows, after
    ``share`` of a full run of each."""

    trial: Trial
    difference: Estimate
    p_value: float
    share: float

    def is_worse(self, *, higher: bool) -> bool:
        """Whether the interval leaves out that the other is as good."""
        return self.difference.low > 0 if higher else self.difference.high < 0


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The outcome of a sweep.

    ``estimate`` is the winner's on the validation sample it was chosen on; ``corrected`` allows for
    the choice by ``optimism`` (in the metric's own unit). ``settings`` are those to adopt.
    """

    sweep: str
    metric: str
    higher: bool
    winner: Trial
    settings: dict[str, Json]
    estimate: Estimate
    optimism: float
    corrected: Estimate
    runner_up: Beside | None
    trials: tuple[Trial, ...]
    spent: Spent
    exhaustive_runs: float
    stopped: str | None
    words: tuple[str, ...]


def judge(
    name: str,
    metric: tuple[str, Metric, bool],
    trials: Sequence[Trial],
    spent: Spent,
    records: Records,
    stopped: str | None = None,
) -> SweepResult | None:
    """Judge what was measured; None where nothing was. ``metric``: name, how to compute it, and
    whether more is better."""
    called, compute, higher = metric
    winner = best(trials, higher=higher)
    if winner is None or winner.last is None:
        return None
    estimate = winner.last.estimate
    off = max((_optimism(rung, compute, records, higher) for rung in _rungs(trials)), default=0.0)
    result = SweepResult(
        sweep=name,
        metric=called,
        higher=higher,
        winner=winner,
        settings=dict(winner.settings),
        estimate=estimate,
        optimism=off,
        corrected=_corrected(estimate, off, higher=higher),
        runner_up=_runner_up(winner, trials, compute, records, higher=higher),
        trials=tuple(trials),
        spent=spent,
        exhaustive_runs=sum(one.length for one in trials),
        stopped=stopped,
        words=(),
    )
    return replace(result, words=tuple(_words(result)))


def _rungs(trials: Sequence[Trial]) -> list[list[str]]:
    """The evaluations that were compared with each other: those of a bracket at one rung."""
    found: dict[tuple[int, int], list[str]] = {}
    for trial in trials:
        for rung, one in trial.measured.items():
            found.setdefault((trial.bracket, rung), []).append(one.evaluation)
    return [together for together in found.values() if len(together) > 1]


def _optimism(evaluations: Sequence[str], metric: Metric, records: Records, higher: bool) -> float:
    statistics = [metric.statistic(list(records(one))) for one in evaluations]
    clusters = statistics[0].clusters
    if len(clusters) < 2 or any(one.clusters != clusters for one in statistics):
        return 0.0
    sign = 1.0 if higher else -1.0
    whole = np.asarray([sign * one.at(np.ones((1, len(clusters))))[0] for one in statistics])
    resampling = Resampling(resamples=RESAMPLES)
    weights = np.concatenate(list(draws(len(clusters), statistics[0].n, resampling)))
    values = np.stack([sign * one.at(weights) for one in statistics], axis=1)
    values = values[~np.isnan(values).any(axis=1)]
    if np.isnan(whole).any() or not len(values):
        return 0.0
    # How a metric of small samples lies off on average is no matter of the choice.
    values = values - (values.mean(axis=0) - whole)
    chosen = values.argmax(axis=1)
    gained = values[np.arange(len(values)), chosen] - whole[chosen]
    return max(0.0, float(gained.mean()))


def _corrected(estimate: Estimate, optimism: float, *, higher: bool) -> Estimate:
    """Move the value and the end that matters by the optimism; the other end stays."""
    if higher:
        value, low, high = estimate.value - optimism, estimate.low - optimism, estimate.high
    else:
        value, low, high = estimate.value + optimism, estimate.low, estimate.high + optimism
    method = f"{estimate.method}, less the optimism of the choice"
    return replace(estimate, value=value, low=low, high=high, method=method)


def _runner_up(
    winner: Trial, trials: Sequence[Trial], metric: Metric, records: Records, *, higher: bool
) -> Beside | None:
    """The best other one, at the furthest point that both were measured at."""
    others = [one for one in trials if one.number != winner.number and one.measured]
    shared = {
        one.number: share
        for one in others
        if (share := max(_shares(one) & _shares(winner), default=None)) is not None
    }
    if not shared:
        return None
    furthest = max(shared.values())
    near = [_at(one, furthest) for one in others if shared.get(one.number) == furthest]
    first = rank(near, 0, higher=higher)[0]
    other = next(one for one in others if one.number == first.number)
    ours, theirs = _at(winner, furthest).measured[0], first.measured[0]
    pair = paired_difference(
        metric, list(records(ours.evaluation)), list(records(theirs.evaluation))
    )
    return Beside(other, pair.estimate, pair.p_value, furthest)


def _shares(trial: Trial) -> set[float]:
    """Rounded: runs of other lengths pause at the nearest step."""
    return {_share(one.step, one.steps) for one in trial.measured.values()}


def _share(step: int, steps: int) -> float:
    return round(step / steps, 2)


def _at(trial: Trial, share: float) -> Trial:
    found = next(one for one in trial.measured.values() if _share(one.step, one.steps) == share)
    return replace(trial, measured={0: found})


def settings_words(settings: Mapping[str, Json]) -> str:
    """Return settings as ``lr = 0.004, method.r = 8``."""
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def _words(result: SweepResult) -> list[str]:
    e, c, n = result.estimate, result.corrected, len(result.trials)
    found = [
        f"Best of {n}: {settings_words(result.settings)} with {result.metric} {e.value:.3f} "
        f"[{e.low:.3f}, {e.high:.3f}] on {e.n} validation rows.",
        f"It was chosen on these rows: on others expect up to {result.optimism:.3f} "
        f"{'less' if result.higher else 'more'}, {c.value:.3f} [{c.low:.3f}, {c.high:.3f}]. "
        "The test set was not touched.",
    ]
    if result.winner.last is not None and result.winner.last.step < result.winner.last.steps:
        share = result.winner.last.step / result.winner.last.steps
        found.append(f"No trial was trained to its end: this is after {share:.0%} of a run.")
    if result.runner_up is not None:
        found.append(_beside_words(result.runner_up, higher=result.higher))
    if result.stopped:
        found.append(f"Stopped before its end: {result.stopped}.")
    return found


def _beside_words(beside: Beside, *, higher: bool) -> str:
    d = beside.difference
    when = "" if beside.share >= 1 else f" after {beside.share:.0%} of a run, where both were"
    gap = f"winner - runner-up {d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}], n = {d.n}{when}"
    name = settings_words(beside.trial.settings)
    if beside.is_worse(higher=higher):
        return f"The runner-up ({name}) is really worse: {gap}."
    return f"The runner-up ({name}) may be as good: {gap}. Take the cheaper of the two."
