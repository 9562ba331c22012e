"""What each target asks of the test set: items, observed value, expert hours.

``needs`` is a pure function of the objective and of what is known of the test set. Every row says
in words what it assumed; rows that cannot be planned yet say what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metier.core.objective import Objective, Target
from metier.core.types import Estimate
from metier.scoring.statistics import power
from metier.scoring.statistics.intervals import z_of
from metier.scoring.tasks import check_targets, shown_info
from metier.scoring.types import MetricInfo

LABELS_PER_ITEM = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is known of the test set; leave out what is not.

    ``class_counts`` is keyed by field ("" when the task has a single label), then by label;
    ``slice_counts`` by ``key=value``. ``references`` maps a rung to its metrics' values;
    ``observed`` maps metrics to estimates already made, whose spread replaces the assumed one.
    """

    n: int | None = None
    class_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    slice_counts: Mapping[str, int] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    observed: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """``margin``: by how much the true value beats the target, as a share of the metric's range
    (at most half the room left). ``power``: how often the gate should then pass."""

    margin: float = 0.05
    power: float = 0.8
    level: float = 0.95
    seconds_per_label: float = 60.0


@dataclass(frozen=True, slots=True)
class Need:
    """One row. None: cannot be said yet; ``words`` says why, or what was assumed.

    ``goal`` is the absolute bound; ``items_needed`` counts test items in all, also where only a
    class or slice of them is judged; ``items_now`` those of today's test set that are judged.
    ``observed_needed`` is what must be observed on today's test set (None with ``items_now``:
    no value is enough). ``detectable`` is the least true change that today's test set shows.
    ``hours`` is keyed by labels per item.
    """

    key: str
    target: Target
    words: str
    goal: float | None = None
    assumed: float | None = None
    items_needed: int | None = None
    items_now: int | None = None
    observed_needed: float | None = None
    detectable: float | None = None
    hours: Mapping[int, float] = field(default_factory=dict)


def needs(
    objective: Objective,
    test: HeldOut | None = None,
    assumptions: Assumptions | None = None,
) -> list[Need]:
    """Return one row per target, then per constraint.

    Raises ConfigError for targets that cannot be computed for the task.
    """
    check_targets(objective)
    test, assumptions = test or HeldOut(), assumptions or Assumptions()
    rows = []
    for key, targets in (("target", objective.target), ("constraint", objective.constraint)):
        for number, target in enumerate(targets):
            row = _need(target, test, assumptions)
            rows.append(replace(row, key=f"objective.{key}[{number}]"))
    return rows


def _need(target: Target, test: HeldOut, assumptions: Assumptions) -> Need:
    row = Need("", target, "")
    if target.stage != "evaluate":
        return replace(row, words=f"open: measured at the {target.stage} stage")
    info = shown_info(target.metric)
    if info.kind == "probe":
        return replace(row, words=f"open: {target.metric} is not measured on the test set")
    goal, factor = _goal(target, test)
    if goal is None:
        words = f"open: needs the value of {target.relative_to} first"
        return replace(row, words=words)
    if info.kind == "quantile":
        return _quantile_need(replace(row, goal=goal), info, test, assumptions)
    row = replace(row, goal=goal, assumed=_assumed(goal, info, assumptions))
    return _sized(row, info, test, assumptions, factor)


def _goal(target: Target, test: HeldOut) -> tuple[float | None, float]:
    """Return the absolute bound, and the factor on a reference measured on the same items (0: the
    bound is a fixed number)."""
    bound = target.at_least if target.at_least is not None else target.at_most
    if bound is not None:
        return bound, 0.0
    known = target.current_value
    if known is None:
        known = test.references.get(str(target.relative_to), {}).get(target.metric)
    if known is None:
        return None, 0.0
    factor = 1 - (target.reduce_by or 0.0)
    fixed = target.current_value is not None
    return known * factor + (target.increase_by or 0.0), 0.0 if fixed else factor


def _assumed(goal: float, info: MetricInfo, assumptions: Assumptions) -> float:
    end = info.high if info.higher_is_better else info.low
    sign = 1 if info.higher_is_better else -1
    if info.low is None or info.high is None:
        return goal + sign * 2 * assumptions.margin * abs(goal)
    room = abs((end or 0.0) - goal)
    return goal + sign * min(assumptions.margin * (info.high - info.low), room / 2)


def _sized(
    row: Need, info: MetricInfo, test: HeldOut, assumptions: Assumptions, factor: float
) -> Need:
    goal, assumed = row.goal or 0.0, row.assumed or 0.0
    judged = _judged(row.target, info, test)
    sd = _known_sd(row.target, test)
    if sd is None and info.high != 1.0:
        words = f"open: how much {info.name} varies is known after a first evaluation"
        return replace(row, words=words, items_now=judged.now)
    low, high = info.low or 0.0, math.inf if info.high is None else info.high
    if not low <= assumed <= high or goal == assumed:
        words = f"no value of {info.name} ({info.range}) is better than {goal:.3g}: no interval can"
        return replace(row, words=f"{words} reach it", assumed=None, items_now=judged.now)
    spread = _Spread(sd, factor, goal, (low, high), assumptions)
    effective = spread.items(assumed)
    total = math.ceil(effective / judged.worth - 1e-9)
    seconds = assumptions.seconds_per_label
    return replace(
        row,
        words=f"if the true value is {assumed:.3g}, passes {assumptions.power:.0%} of the time; "
        + "; ".join([spread.words(), *judged.words]),
        items_needed=total,
        items_now=judged.now,
        observed_needed=spread.observed(judged.effective, info.higher_is_better),
        detectable=spread.detectable(judged.effective, info.higher_is_better),
        hours={k: power.expert_hours(total, k, seconds) for k in LABELS_PER_ITEM},
    )


def _quantile_need(row: Need, info: MetricInfo, test: HeldOut, assumptions: Assumptions) -> Need:
    """A quantile is bounded by an order statistic: so many replies must be within the bound."""
    from metier.scoring.efficiency import items_for_quantile

    q = 0.95 if "p95" in info.name else 0.5
    fewest = items_for_quantile(q, assumptions.level)
    judged = _judged(row.target, info, test)
    words = f"at least {fewest} items, whatever the latencies; needs no labels"
    if judged.now:
        share = power.observed_for_proportion(q, judged.now, level=assumptions.level)
        least = (
            "more than there are" if share is None else f"{math.ceil(share * judged.now - 1e-9)}"
        )
        words += f"; {least} of today's {judged.now} replies must stay within the bound"
    return replace(row, words=words, items_needed=fewest, items_now=judged.now)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The part of the test set a target is about.

    ``worth`` is how many independent items one test item brings; ``now`` and ``effective`` count
    today's, as items and as what they are worth.
    """

    worth: float
    now: int | None
    effective: float | None
    words: tuple[str, ...]


def _judged(target: Target, info: MetricInfo, test: HeldOut) -> _Judged:
    counts = test.class_counts.get(target.metric.rpartition(".")[0], {})
    total = test.n if test.n is not None else (sum(counts.values()) or None)
    if target.slice is not None:
        return _part(test.slice_counts.get(target.slice), total, f"slice {target.slice}")
    if target.label is not None:
        return _part(counts.get(target.label), total, f"class {target.label!r}")
    if not info.name.endswith("_macro"):
        return _Judged(1.0, total, total, ())
    if not counts:
        return _Judged(1.0, total, total, ("assumes equally frequent classes",))
    effective = power.effective_items(counts.values())
    worth = effective / sum(counts.values())
    note = f"one item of these unequal classes is worth {worth:.2f} of equal ones"
    return _Judged(worth, total, effective, (note,) if worth < 0.995 else ())


def _part(count: int | None, total: int | None, named: str) -> _Judged:
    if count and total:
        note = f"{named} is {count} of {total} items"
        return _Judged(count / total, count, count, (note,))
    note = f"counts items of {named} alone: their share of the test set is not known"
    return _Judged(1.0, count, count, (note,))


def _known_sd(target: Target, test: HeldOut) -> float | None:
    """Return the spread per item that an estimate already made implies."""
    name = target.metric if target.slice is None else f"{target.metric}@{target.slice}"
    known = None if target.label is not None else test.observed.get(name)
    if known is None or not math.isfinite(known.high - known.low) or known.high <= known.low:
        return None
    return (known.high - known.low) / 2 / z_of(known.level) * math.sqrt(known.n)


@dataclass(frozen=True, slots=True)
class _Spread:
    """The formulas, by what is known: a measured sd, a reference on the same items, or neither.

    Neither: the variance of a share of yes/no items, on the metric's range (whose upper end is 1).
    No mean of values in that range varies more.
    """

    sd: float | None
    factor: float
    goal: float
    span: tuple[float, float]
    assumptions: Assumptions

    def items(self, assumed: float) -> int:
        sd = self._sd()
        if sd is None:
            share, goal = self._share(assumed), self._share(self.goal)
            return power.items_for_proportion(goal, share, **self._settings)
        return power.items_for_mean(self.goal, assumed, sd, **self._settings)

    def observed(self, n: float | None, at_least: bool) -> float | None:
        if not n or n < 1:
            return None
        level, sd, whole = self.assumptions.level, self._sd(), math.floor(n)
        if sd is not None:
            value = power.observed_for_mean(self.goal, whole, sd, at_least=at_least, level=level)
            return value if self.span[0] <= value <= self.span[1] else None
        share = power.observed_for_proportion(
            self._share(self.goal), whole, at_least=at_least, level=level
        )
        return None if share is None else self.span[0] + share * self._width

    def detectable(self, n: float | None, at_least: bool) -> float | None:
        if not n or n < 1:
            return None
        sd, goal = self._sd(), self._share(self.goal)
        if sd is not None:
            return power.detectable_mean(sd, math.floor(n), **self._settings)
        found = power.detectable_proportion(
            goal if at_least else 1 - goal, math.floor(n), **self._settings
        )
        return None if found is None else found * self._width

    def words(self) -> str:
        if self.sd is not None:
            return "spread as in the evaluation already made"
        if self.factor:
            return "assumes the two make independent mistakes, which asks for the most items"
        return "spread of yes/no items (the most there can be)"

    @property
    def _settings(self) -> dict[str, float]:
        return {"power": self.assumptions.power, "level": self.assumptions.level}

    @property
    def _width(self) -> float:
        return self.span[1] - self.span[0]

    def _share(self, value: float) -> float:
        return (value - self.span[0]) / self._width

    def _sd(self) -> float | None:
        """For a difference to a reference: independent mistakes, each with a share's variance."""
        if self.sd is not None:
            return self.sd
        if not self.factor:
            return None
        reference = min(1.0, max(0.0, self._share(self.goal / self.factor)))
        own = self._share(self.goal)
        variance = own * (1 - own) + self.factor**2 * reference * (1 - reference)
        return math.sqrt(variance) * self._width or None
