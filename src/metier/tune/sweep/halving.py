"""Successive halving as a function of what has been measured so far: what may be done next.

Nothing is remembered here: the trials with their measurements say it all, so that any number of
workers, and one that takes over from a killed one, come to the same decisions. A rung opens when
the rung before has been measured for every trial on it; trials that failed drop out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from metier.core.types import Estimate, Json
from metier.tune.sweep.rungs import Rung

State = Literal["open", "finished", "dropped", "failed"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A trial at one rung: its ``estimate`` on the validation sample after ``step`` of ``steps``.

    ``loss`` (validation loss, None: none) breaks ties; ``evaluation`` is the stored report;
    times are this rung's own, in seconds.
    """

    rung: int
    step: int
    steps: int
    estimate: Estimate
    loss: float | None
    evaluation: str
    train_s: float
    measure_s: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting: the ``place``-th of its bracket. ``length`` is that of its full run against
    today's settings; ``run`` the tuning run (None: not begun); ``failed`` says why it ended."""

    number: int
    bracket: int
    place: int
    settings: Mapping[str, Json]
    length: float = 1.0
    run: str | None = None
    measured: Mapping[int, Measured] = field(default_factory=dict)
    failed: str | None = None
    state: State = "open"

    @property
    def last(self) -> Measured | None:
        """The newest measurement."""
        return self.measured[max(self.measured)] if self.measured else None


@dataclass(frozen=True, slots=True)
class Piece:
    """A trial to be trained on to a rung, and measured there."""

    trial: Trial
    rung: int
    share: float


def rank(trials: Sequence[Trial], rung: int, *, higher: bool = True) -> list[Trial]:
    """Return the trials measured at a rung, best first.

    Equal values are ordered by validation loss, then by number: early in a run the metric of a
    small sample is often the same for many.
    """
    sign = -1.0 if higher else 1.0

    def key(trial: Trial) -> tuple[float, float, int]:
        found = trial.measured[rung]
        value = sign * found.estimate.value
        loss = found.loss if found.loss is not None else math.inf
        return (math.inf if math.isnan(value) else value, loss, trial.number)

    return sorted((one for one in trials if rung in one.measured), key=key)


def cut(trials: Sequence[Trial], rung: int, keep: int, *, higher: bool = True) -> list[Trial]:
    """Return the ``keep`` trials that go on from a rung, best first.

    Who stands clearly above the last place goes on, who stands clearly below it does not. Those
    between, whose intervals touch that of the last place, are not told apart by the metric: of
    them the ones with the lower validation loss go on. Early in a run, when few answers are right
    yet, that may be all of them; the loss sees that the right answer has become likelier sooner
    than the metric does.
    """
    ordered = rank(trials, rung, higher=higher)
    if keep >= len(ordered):
        return ordered
    line = ordered[keep - 1].measured[rung].estimate
    near = [one for one in ordered if _touch(one.measured[rung].estimate, line)]
    losses = {one.number: one.measured[rung].loss for one in near}
    if any(loss is None or math.isnan(loss) for loss in losses.values()):
        return ordered[:keep]
    above = [one for one in ordered[:keep] if one.number not in losses]
    by_loss = sorted(near, key=lambda one: (losses[one.number], one.number))
    going = {one.number for one in (*above, *by_loss[: keep - len(above)])}
    return [one for one in ordered if one.number in going]


def _touch(a: Estimate, b: Estimate) -> bool:
    return a.low <= b.high and b.low <= a.high


def standing(
    trials: Sequence[Trial], rungs: Sequence[Rung], *, higher: bool = True
) -> list[list[Trial] | None]:
    """Return who is on each rung, best first of the one before; None where it is not yet known."""
    found: list[list[Trial] | None] = [list(trials) if len(trials) >= rungs[0].trials else None]
    for index, rung in enumerate(rungs[1:]):
        here = found[-1]
        if here is None or not _complete(here, index):
            found.append(None)
        else:
            found.append(cut(here, index, rung.trials, higher=higher))
    return found


def _complete(trials: Sequence[Trial], rung: int) -> bool:
    return all(rung in one.measured or one.failed for one in trials)


def todo(trials: Sequence[Trial], rungs: Sequence[Rung], *, higher: bool = True) -> list[Piece]:
    """Return what may be done now, in order; [] when all is done."""
    pieces = []
    for index, here in enumerate(standing(trials, rungs, higher=higher)):
        for trial in here or ():
            if index not in trial.measured and not trial.failed:
                pieces.append(Piece(trial, index, rungs[index].share))
    return pieces


def losers(trials: Sequence[Trial], rungs: Sequence[Rung], *, higher: bool = True) -> list[Trial]:
    """Return the trials that will not go on though they are not at the end."""
    places = standing(trials, rungs, higher=higher)
    found = []
    for trial in trials:
        reached = max(trial.measured, default=-1)
        if trial.failed or not 0 <= reached < len(rungs) - 1:
            continue
        following = places[reached + 1]
        if following is not None and all(one.number != trial.number for one in following):
            found.append(trial)
    return found


def best(trials: Sequence[Trial], *, higher: bool = True) -> Trial | None:
    """Return the best of those that were trained furthest; None where none was measured."""
    ends = [one.last.step / one.last.steps for one in trials if one.last is not None]
    if not ends:
        return None
    furthest = [one for one in trials if one.last and one.last.step / one.last.steps == max(ends)]
    last = {one.number: one.last for one in furthest}
    same = [_at_zero(one, last[one.number]) for one in furthest]
    first = rank(same, 0, higher=higher)[0].number
    return next(one for one in furthest if one.number == first)


def _at_zero(trial: Trial, found: Measured | None) -> Trial:
    return replace(trial, measured={0: found} if found is not None else {})
