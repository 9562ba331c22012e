"""sweep: the loop of one worker; any number of them may share a sweep.

A worker looks at what has been measured, takes the first piece that no other one holds (train a
trial on to its next rung, measure it there), writes down what it found, and looks again. Everything
is in the study, so a worker that is killed loses the piece it was on, no more, and of that piece
the steps since the last checkpoint. How a trial is trained and measured is handed in.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metier.core.errors import Busy, ConfigError, InputError, OutOfMemory, UserError
from metier.core.progress import Progress
from metier.core.records import TuneRun
from metier.core.types import Estimate, Json
from metier.tune.config import TuneConfig
from metier.tune.sweep import budget as money
from metier.tune.sweep.config import LogRange, SweepConfig
from metier.tune.sweep.halving import Measured, Piece, Trial, best, losers, todo
from metier.tune.sweep.planning import Bracket, Plan, length_of
from metier.tune.sweep.space import DIGITS, grid
from metier.tune.sweep.store import SweepStore

POLL_S = 1.0
TRIES = 8
Options = Mapping[str, Sequence[Json] | LogRange]
FAILS = (InputError, ConfigError, OutOfMemory)
"""What ends one trial and not the sweep: a rate at which the loss runs away, a batch that does not
fit."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a run is worth as far as it is: the ``estimate`` and its stored ``evaluation``."""

    estimate: Estimate
    evaluation: str


class Work(Protocol):
    """How a trial is trained and measured."""

    def train(self, trial: Trial, share: float) -> TuneRun:
        """Train a trial on until ``share`` of its steps are done; below 1 it pauses there."""
        ...

    def measure(self, trial: Trial, run: TuneRun) -> Value:
        """Measure the run as it is now on the validation sample."""
        ...

    def forget(self, trial: Trial) -> None:
        """Delete the checkpoints of a trial that will not go on."""
        ...


Lock = Callable[[str, Callable[[], None]], None]
"""Runs the work as the only holder of a key; raises Busy where another live worker holds it."""


@dataclass(frozen=True)
class Sweeping:
    """What a worker needs: the sweep, its plan, and how things are done."""

    store: SweepStore
    config: SweepConfig
    plan: Plan
    options: Options
    today: TuneConfig
    work: Work
    lock: Lock
    higher: bool = True
    rate: float = 0.0
    full_run_s: float | None = None
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class Ended:
    """All trials as they ended; ``stopped`` says why before the plan was through (None: was)."""

    trials: tuple[Trial, ...]
    stopped: str | None = None


def sweep(sweeping: Sweeping, *, poll_s: float = POLL_S) -> Ended:
    """Work on a sweep until it is at its end, or its budget is.

    Raises UserError where every trial of a bracket failed, with what the last one failed of.
    """
    total = sum(rung.trials for one in sweeping.plan.brackets for rung in one.rungs)
    with sweeping.progress.task("sweep", total=total, unit="rung") as task:
        done = 0
        for index, bracket in enumerate(sweeping.plan.brackets):
            _fill(sweeping, index, bracket, poll_s)
            while True:
                trials = sweeping.store.trials()
                here = [one for one in trials if one.bracket == index]
                _tidy(sweeping, here, bracket)
                pieces = todo(here, bracket.rungs, higher=sweeping.higher)
                measured = sum(len(one.measured) for one in trials)
                task.advance(measured - done)
                done = measured
                if not pieces:
                    break
                stopped = _refused(sweeping, trials, pieces[0])
                if stopped is not None:
                    task.note(stopped)
                    return Ended(tuple(trials), stopped)
                if not _first_free(sweeping, pieces):
                    time.sleep(poll_s)
            _refuse_if_all_failed(here)
    return Ended(tuple(sweeping.store.trials()))


def _refused(sweeping: Sweeping, trials: Sequence[Trial], piece: Piece) -> str | None:
    return money.refusal(sweeping.config.budget, trials, piece, sweeping.rate, sweeping.full_run_s)


def _first_free(sweeping: Sweeping, pieces: Sequence[Piece]) -> bool:
    """Do the first piece that no other worker holds; False where all are held."""
    for piece in pieces:
        key = f"{sweeping.store.name}:{piece.trial.bracket}.{piece.trial.place}"
        try:
            sweeping.lock(key, lambda piece=piece: _do(sweeping, piece))  # type: ignore[misc]
        except Busy:
            continue
        return True
    return False


def _do(sweeping: Sweeping, piece: Piece) -> None:
    """Train and measure a piece, unless another worker has just done it."""
    number = piece.trial.number
    trial = next(one for one in sweeping.store.trials() if one.number == number)
    if piece.rung in trial.measured or trial.failed:
        return
    began = time.monotonic()
    try:
        run = sweeping.work.train(trial, piece.share)
    except FAILS as error:
        sweeping.work.forget(trial)
        sweeping.store.end(trial, "failed", _one_line(error))
        sweeping.progress.note(f"trial {number} ended: {_one_line(error)}")
        return
    trained = time.monotonic()
    value = sweeping.work.measure(trial, run)
    step, steps = steps_of(run)
    found = Measured(
        rung=piece.rung,
        step=step,
        steps=steps,
        estimate=value.estimate,
        loss=run.summary.get("validation_loss"),
        evaluation=value.evaluation,
        train_s=round(trained - began, 6),
        measure_s=round(time.monotonic() - trained, 6),
    )
    sweeping.store.measured(trial, run.id, found)


def steps_of(run: TuneRun) -> tuple[int, int]:
    """Return the steps a run has done and those it was planned for; ended early is ended."""
    planned = int(run.summary["planned_steps"])
    return (planned if run.state == "done" else int(run.summary["paused_at"])), planned


def _one_line(error: UserError) -> str:
    return " ".join(str(error).split())


def _fill(sweeping: Sweeping, index: int, bracket: Bracket, poll_s: float) -> None:
    """Add the bracket's trials that are not there yet; one worker does, the others wait."""
    while len(_of(sweeping.store.trials(), index)) < bracket.trials:
        try:
            sweeping.lock(
                f"{sweeping.store.name}:bracket {index}", lambda: _add(sweeping, index, bracket)
            )
        except Busy:
            time.sleep(poll_s)


def _of(trials: Sequence[Trial], bracket: int) -> list[Trial]:
    return [one for one in trials if one.bracket == bracket]


def _add(sweeping: Sweeping, index: int, bracket: Bracket) -> None:
    trials = sweeping.store.trials()
    there = {one.place for one in _of(trials, index)}
    known = [dict(one.settings) for one in trials]
    base = _best_so_far(sweeping, trials) if bracket.setting is not None else {}
    for place in range(bracket.trials):
        if place in there:
            continue
        if bracket.tried is not None:
            settings = {**base, **bracket.tried[place]}
        else:
            settings = _new(sweeping, index, place, known)
        known.append(dict(settings))
        length = length_of(settings, sweeping.today)
        sweeping.store.add(index, place, settings, length, sweeping.options)


def _best_so_far(sweeping: Sweeping, trials: Sequence[Trial]) -> dict[str, Json]:
    found = best(trials, higher=sweeping.higher)
    return dict(found.settings) if found is not None else {}


def _new(
    sweeping: Sweeping, bracket: int, place: int, known: Sequence[Mapping[str, Json]]
) -> dict[str, Json]:
    """Settings that Optuna suggests and that were not tried; at last any that were not."""
    seed = sweeping.config.seed * 1_000_003 + bracket * 1_009 + place
    found: dict[str, Json] = {}
    for attempt in range(TRIES):
        raw = sweeping.store.suggest(sweeping.options, seed + attempt * 7_919)
        found = {name: _rounded(sweeping.options[name], value) for name, value in raw.items()}
        if found not in known:
            return found
    lists = {n: o for n, o in sweeping.options.items() if not isinstance(o, LogRange)}
    left = [one for one in grid(lists) if one not in known]
    return random.Random(seed).choice(left) if left else found


def _rounded(options: Sequence[Json] | LogRange, value: Json) -> Json:
    return float(f"{value:.{DIGITS}g}") if isinstance(options, LogRange) else value


def _tidy(sweeping: Sweeping, trials: Sequence[Trial], bracket: Bracket) -> None:
    """End the trials that will not go on, and delete what they left on the disk."""
    for trial in losers(trials, bracket.rungs, higher=sweeping.higher):
        if trial.state == "open":
            sweeping.work.forget(trial)
            sweeping.store.end(trial, "dropped")
    for trial in trials:
        if trial.state == "open" and len(bracket.rungs) - 1 in trial.measured:
            sweeping.store.end(trial, "finished")


def _refuse_if_all_failed(trials: Sequence[Trial]) -> None:
    if trials and all(one.failed for one in trials):
        raise InputError(
            "a setting with which the base can be tuned",
            got=f"all {len(trials)} trials failed, the last with: {trials[-1].failed}",
            remedy="correct the ranges in [sweep] space",
        )
