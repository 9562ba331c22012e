"""The plan of a sweep: its brackets with their rungs, and what they cost, before anything is spent.

A bracket is one successive halving. Settings in turn make a bracket each: the values of the first
with all else as it is today, then those of the next at the best of the first, and so on; today's
value of a later setting is not tried again, for the best so far already has it. Settings together
make one bracket (or ``brackets`` of them, the later ones suggested by Optuna).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from metier.core.errors import InputError
from metier.core.types import Json
from metier.tune.config import TuneConfig
from metier.tune.sweep import rungs as ladder
from metier.tune.sweep.config import LogRange, Range, SweepConfig, Trials
from metier.tune.sweep.rungs import Rung
from metier.tune.sweep.space import (
    DIGITS,
    grid,
    is_finite,
    resolve_all,
    setting,
    with_settings,
)

USUAL = 0.25
LENGTH = "epochs"
"""The setting that makes a full run longer; all others leave the tokens of a run as they are."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """One halving: over one ``setting`` (None: several together) of the settings in ``tried``.

    ``tried`` None: Optuna suggests them when it is their turn. ``length`` is the mean length of
    its trials against a full run of today's settings.
    """

    setting: str | None
    tried: tuple[Mapping[str, Json], ...] | None
    rungs: tuple[Rung, ...]
    length: float = 1.0

    @property
    def runs(self) -> float:
        """What it costs in full runs."""
        return ladder.cost(self.rungs, self.length)

    @property
    def trials(self) -> int:
        """How many settings it begins with."""
        return self.rungs[0].trials


@dataclass(frozen=True, slots=True)
class Plan:
    """The brackets of a sweep in order."""

    brackets: tuple[Bracket, ...]

    @property
    def runs(self) -> float:
        """What all brackets cost in full runs of today's settings."""
        return sum(one.runs for one in self.brackets)

    @property
    def trials(self) -> int:
        """How many settings are begun."""
        return sum(one.trials for one in self.brackets)


def make_plan(config: SweepConfig, today: TuneConfig, lr: float, most_runs: float) -> Plan:
    """Plan a sweep around today's settings, whose learning rate comes to ``lr``.

    Raises ConfigError for a setting or value that [tune] does not take, InputError where the budget
    does not pay for the shortest rungs.
    """
    values = resolve_all(config.space, today, lr)
    for name, options in values.items():
        for value in options:
            with_settings(today, {name: value})
    if config.order == "in_turn":
        begun = _in_turn(config, today, lr, values)
    else:
        begun = _together(config, today, values)
    if isinstance(config.budget, Trials):
        begun = _at_most(begun, config.budget.at_most)
    return Plan(tuple(_with_rungs(begun, config, most_runs)))


@dataclass(frozen=True, slots=True)
class _Begun:
    """A bracket without its rungs yet."""

    setting: str | None
    tried: tuple[Mapping[str, Json], ...] | None
    trials: int
    finalists: int
    length: float = 1.0


def _in_turn(
    config: SweepConfig, today: TuneConfig, lr: float, values: Mapping[str, Sequence[Json]]
) -> list[_Begun]:
    found: list[_Begun] = []
    for name, options in values.items():
        now = lr if name == "lr" else setting(today, name)
        left = [one for one in options if not found or one != now][: config.trials]
        if not left:
            continue
        tried = tuple({name: one} for one in left)
        finalists = config.finalists if not found else 1
        mean = sum(length_of(one, today) for one in tried) / len(tried)
        found.append(_Begun(name, tried, len(tried), finalists, mean))
    return found


def _together(
    config: SweepConfig, today: TuneConfig, values: Mapping[str, Sequence[Json]]
) -> list[_Begun]:
    everything = grid(values)
    if is_finite(config.space) and len(everything) <= config.trials:
        tried = tuple(everything)
    else:
        each = max(2, math.ceil(config.trials / config.brackets))
        tried = tuple(spread(config.space, values, each, config.seed))
    mean = sum(length_of(one, today) for one in tried) / len(tried)
    first = _Begun(None, tried, len(tried), config.finalists, mean)
    rest = config.trials - len(tried)
    later = []
    for _ in range(config.brackets - 1 if rest > 0 else 0):
        count = min(rest, len(tried))
        rest -= count
        if count:
            later.append(replace(first, tried=None, trials=count))
    return [first, *later]


def spread(
    space: Mapping[str, Range], values: Mapping[str, Sequence[Json]], count: int, seed: int
) -> list[dict[str, Json]]:
    """Draw settings that cover every range evenly (a Latin hypercube), each once."""
    from scipy.stats import qmc

    found: list[dict[str, Json]] = []
    drawn = qmc.LatinHypercube(len(space), rng=np.random.default_rng(seed)).random(count)
    for row in drawn:
        one = {
            name: _at(kind, values[name], float(at))
            for (name, kind), at in zip(space.items(), row, strict=True)
        }
        if one not in found:
            found.append(one)
    return found


def _at(kind: Range, options: Sequence[Json], at: float) -> Json:
    if isinstance(kind, LogRange) and kind.points == 0:
        value = kind.low * (kind.high / kind.low) ** at
        drawn = float(f"{value:.{DIGITS}g}")
        return max(1, round(drawn)) if isinstance(options[0], int) else drawn
    return options[min(int(at * len(options)), len(options) - 1)]


def length_of(settings: Mapping[str, Json], today: TuneConfig) -> float:
    """Return the length of a full run with these settings against one of today's."""
    return float(cast("float", settings.get(LENGTH, today.epochs))) / today.epochs


def _at_most(begun: Sequence[_Begun], trials: int) -> list[_Begun]:
    found = []
    for one in begun:
        count = min(one.trials, trials)
        trials -= count
        if count:
            tried = one.tried[:count] if one.tried is not None else None
            found.append(replace(one, tried=tried, trials=count))
    return found


def _with_rungs(begun: Sequence[_Begun], config: SweepConfig, most_runs: float) -> list[Bracket]:
    """Give every bracket its rungs: the longest that ``most_runs`` pays for, the first bracket
    choosing first. Where no number of runs is given, a ``USUAL`` part of what trying everything
    to its end would take."""
    reduce = None if config.reduce == "auto" else config.reduce
    options = [_options(one, reduce) for one in begun]
    chosen = [len(one) - 1 for one in options]
    least = sum(options[i][at].runs for i, at in enumerate(chosen))
    if least > most_runs + 1e-9:
        trials = sum(one.trials for one in begun)
        raise InputError(
            f"a budget that pays for {trials} trials in {len(begun)} brackets",
            got=f"one of {most_runs:.3g} full runs; they take at least {least:.2f}",
            remedy="give [sweep] fewer values or settings, or a larger budget",
        )
    if math.isinf(most_runs):
        most_runs = max(least, USUAL * sum(one.trials * one.length for one in begun))
    for i, found in enumerate(options):
        others = sum(options[j][at].runs for j, at in enumerate(chosen) if j != i)
        fits = [k for k, one in enumerate(found) if others + one.runs <= most_runs + 1e-9]
        chosen[i] = min(fits)
    return [options[i][at] for i, at in enumerate(chosen)]


def _options(one: _Begun, reduce: int | None) -> list[Bracket]:
    """All rungs a bracket may have, the longest (and dearest) first."""
    return [
        Bracket(one.setting, one.tried, rungs, one.length)
        for rungs in ladder.ladders(one.trials, reduce=reduce, finalists=one.finalists)
    ]
