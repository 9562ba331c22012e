"""Targets judged on intervals: passed, failed, not enough data, open, reference missing, or
untrusted.

A target passes when the whole interval is on its good side, fails when the whole interval is on
the bad side, and otherwise needs more data, with the number of items that would settle it if the
observed value held. Relative targets are judged on paired differences to their reference. Targets
of later stages, and those that nothing has measured yet, stay open; those of the stage "review" are
judged once a panel has rated the candidate. A metric that was not shown
to agree with people, where that is asked of it, is untrusted: it can pass nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, Protocol

from metier.core.objective import Objective, Stage, Target
from metier.core.records import EvaluationReport
from metier.core.types import Estimate
from metier.scoring.statistics.intervals import percent, widened
from metier.scoring.statistics.power import detectable
from metier.scoring.tasks import shown_info

State = Literal["passed", "failed", "not_enough_data", "open", "reference_missing", "untrusted"]
TUNED, CHAMPION = "tuned", "champion"
PANEL = "panel."
"""What a panel's numbers begin with in a report: ``panel.empathy``, and ``panel.empathy - eval_…``
for the difference to another evaluation that the same panel rated."""
NO_BASELINES = (TUNED, "tuned_rag", CHAMPION)
"""Rungs that hold tuned weights; every other one is a baseline."""


class Paired(Protocol):
    """Gives the paired estimate of ``metric(a) - factor * metric(b)`` on the items they share, and
    estimates of one report at another level. ``level`` None: the level that reports are made at.
    """

    def __call__(
        self,
        target: Target,
        a: EvaluationReport,
        b: EvaluationReport,
        factor: float,
        level: float | None = None,
    ) -> Estimate:
        """Return the estimate, resampled by cluster."""
        ...

    def single(self, target: Target, report: EvaluationReport, level: float) -> Estimate | None:
        """Return what the target is about, estimated again; None where the items do not give it."""
        ...


@dataclass(frozen=True, slots=True)
class TargetResult:
    """One target or constraint, judged.

    ``about`` names metric, class and slice; ``asked`` is the whole demand in words. ``goal`` is
    the bound in the metric's unit (for a relative target: what the reference's observed value
    implies); ``gap`` is how far the observed value is on the good side of it (negative: short of
    it). ``deciding`` is the interval that decided: the metric's own, or the paired difference.
    ``more_items`` is how many further test items would settle it; ``detectable`` the least true
    distance from the bound that today's show 80% of the time.
    """

    kind: Literal["target", "constraint"]
    metric: str
    about: str
    asked: str
    stage: Stage
    state: State
    words: str
    measured: Estimate | None = None
    goal: float | None = None
    gap: float | None = None
    reference: str | None = None
    deciding: Estimate | None = None
    more_items: int | None = None
    detectable: float | None = None


def judge(
    objective: Objective,
    candidate: EvaluationReport,
    reports: Sequence[EvaluationReport],
    paired: Paired,
    untrusted: Mapping[str, str] = MappingProxyType({}),
    *,
    level: float | None = None,
) -> tuple[TargetResult, ...]:
    """Judge every target, then every constraint, of the objective for one candidate.

    ``untrusted`` maps metrics that may not gate to the reason; no target on one passes. ``level``
    is that of the intervals that decide (None: as reported), e.g. ``looks.look_level(5)``.
    """
    court = _Court(candidate, reports, paired, level)

    def one(target: Target) -> TargetResult:
        result = _judge_one(target, court)
        return _doubted(result, untrusted.get(target.metric))

    targets, limits = map(one, objective.target), map(one, objective.constraint)
    return (*targets, *(replace(limit, kind="constraint") for limit in limits))


def metric_key(target: Target) -> str:
    """Return the name under which a target's metric is found in a report's ``metrics``."""
    if target.stage == "review":
        return f"{PANEL}{target.metric}"
    return target.metric if target.slice is None else f"{target.metric}@{target.slice}"


def find_estimate(report: EvaluationReport, target: Target) -> Estimate | None:
    """Return the estimate a target is about: overall, of its slice, or of its class."""
    if target.label is None or target.stage == "review":
        return report.metrics.get(metric_key(target))
    field, _, name = target.metric.rpartition(".")
    return report.per_class.get(field, {}).get(target.label, {}).get(name)


def best_of(reports: Sequence[EvaluationReport], metric: str) -> EvaluationReport | None:
    """Return the report with the best observed value of ``metric``; None when none has it."""
    sign = 1 if shown_info(metric.partition("@")[0]).higher_is_better else -1
    having = [r for r in reports if metric in r.metrics and math.isfinite(r.metrics[metric].value)]
    return max(having, key=lambda report: sign * report.metrics[metric].value, default=None)


def find_reference(target: Target, reports: Sequence[EvaluationReport]) -> EvaluationReport | None:
    """Return the report a relative target refers to, the newest where there are several.

    ``best_untuned`` is the best of all rungs without tuning, classical ones included.
    """
    if target.relative_to == "best_untuned":
        untuned = [report for report in reports if report.rung not in NO_BASELINES]
        return best_of(untuned, metric_key(target))
    named = [report for report in reports if report.rung == target.relative_to]
    return max(named, key=lambda report: report.created_at, default=None)


def items_to_settle(estimate: Estimate, bound: float) -> int | None:
    """Return how many more items bring the whole interval to one side of ``bound``.

    Assumes that the observed value holds and that the interval narrows with the square root of
    the number of items. None when the value lies on the bound or has no interval.
    """
    above = estimate.value > bound
    arm = estimate.value - estimate.low if above else estimate.high - estimate.value
    distance = abs(estimate.value - bound)
    if not math.isfinite(arm) or arm <= 0 or distance < 1e-9:
        return None
    return max(math.ceil(estimate.n * (arm / distance) ** 2 - 1e-9) - estimate.n, 0)


def describe(target: Target) -> str:
    """Return a target's metric with its class and slice, e.g. ``recall of fraud in age=90+``."""
    words = target.metric
    if target.label is not None:
        words += f" of {target.label}"
    if target.slice is not None:
        words += f" in {target.slice}"
    return words


def bound_words(target: Target) -> str:
    """Return what a target asks for, e.g. ``at least 0.85`` or ``70% less than keyword``."""
    if target.at_least is not None:
        return f"at least {target.at_least:g}"
    if target.at_most is not None:
        return f"at most {target.at_most:g}"
    named = str(target.relative_to).replace("_", " ")
    if target.current_value is not None:
        named += f" ({target.current_value:g})"
    if target.reduce_by is not None:
        return f"{target.reduce_by:.0%} less than {named}"
    return f"{target.increase_by:g} above {named}"


@dataclass(frozen=True, slots=True)
class _Court:
    """Who is judged beside whom, on which intervals."""

    candidate: EvaluationReport
    reports: Sequence[EvaluationReport]
    paired: Paired
    level: float | None

    def deciding(self, target: Target, measured: Estimate) -> Estimate:
        """Return the candidate's estimate at the level that decides. A panel is no look at the
        test set: what it found stays at its own level."""
        at_own = self.level is None or math.isclose(self.level, measured.level)
        if at_own or self.level is None or target.stage == "review":
            return measured
        again = self.paired.single(target, self.candidate, self.level)
        return widened(measured, self.level) if again is None else again


def _judge_one(target: Target, court: _Court) -> TargetResult:
    measured = find_estimate(court.candidate, target)
    if target.stage not in ("evaluate", "review") or (target.stage == "review" and not measured):
        words = f"open: measured at the {target.stage} stage, not reached yet"
        return _blank(target, "open", words)
    if measured is None:
        return _blank(target, "open", f"open: nothing has measured {describe(target)} yet")
    bound = target.at_least if target.at_least is not None else target.at_most
    if bound is not None:
        deciding = court.deciding(target, measured)
        return _settle(target, measured, deciding, (bound, bound), target.at_least is not None)
    return _judge_relative(target, measured, court)


def _doubted(result: TargetResult, why: str | None) -> TargetResult:
    """A result as it may stand where the metric may not gate: whatever it says, it is no pass."""
    if why is None or result.stage != "evaluate" or result.state == "open":
        return result
    return replace(result, state="untrusted", words=why, more_items=None)


def _judge_relative(target: Target, measured: Estimate, court: _Court) -> TargetResult:
    upward = target.increase_by is not None
    factor = 1.0 if target.reduce_by is None else 1.0 - target.reduce_by
    shift = target.increase_by or 0.0
    if target.current_value is not None:
        goal = factor * target.current_value + shift
        deciding = court.deciding(target, measured)
        result = _settle(target, measured, deciding, (goal, goal), upward)
        return replace(result, reference="current_process")
    reference = find_reference(target, court.reports)
    estimate = find_estimate(reference, target) if reference else None
    if reference is None or estimate is None:
        words = f"reference missing: no {target.relative_to} evaluation on the same split"
        return replace(_blank(target, "reference_missing", words), measured=measured)
    if target.stage == "review":
        difference = _panel_difference(target, court.candidate, reference, factor)
    else:
        difference = court.paired(target, court.candidate, reference, factor, court.level)
    goal = factor * estimate.value + shift
    result = _settle(target, measured, difference, (shift, goal), upward)
    return replace(result, reference=reference.rung)


def _panel_difference(
    target: Target, ours: EvaluationReport, theirs: EvaluationReport, factor: float
) -> Estimate:
    """The difference that a panel found between two candidates it rated side by side."""
    name = metric_key(target)
    found = ours.metrics.get(f"{name} - {theirs.id}") if factor == 1.0 else None
    if found is not None:
        return found
    why = f"no panel rated {ours.rung} and {theirs.rung} together"
    if factor != 1.0:
        why = "a panel gives differences in points: use increase_by, at_least or at_most"
    return Estimate(math.nan, math.nan, math.nan, 0, 0, 0.95, "undefined", (why,))


def _settle(
    target: Target,
    measured: Estimate,
    deciding: Estimate,
    bound_and_goal: tuple[float, float],
    upward: bool,
) -> TargetResult:
    """Judge ``deciding`` against the bound; ``goal`` is the same in the metric's own unit."""
    bound, goal = bound_and_goal
    gap = (measured.value - goal) * (1 if upward else -1)
    more: int | None = None
    wide = "interval"
    if not math.isclose(deciding.level, measured.level):
        wide = f"{percent(deciding.level)} interval [{deciding.low:.3f}, {deciding.high:.3f}]"
    state: State
    if not (math.isfinite(deciding.low) and math.isfinite(deciding.high)):
        state = "not_enough_data"
        words = f"not enough data: {'; '.join(deciding.warnings) or 'no interval can be had'}"
    elif deciding.low >= bound if upward else deciding.high <= bound:
        state, words = "passed", f"passed: the whole {wide} is on the good side"
    elif deciding.high < bound if upward else deciding.low > bound:
        state, words = "failed", f"failed: the whole {wide} is on the wrong side"
    else:
        state, more = "not_enough_data", items_to_settle(deciding, bound)
        settle = _more_words(target, more, gap)
        words = f"not enough data: the bound lies within the {wide}; {settle}"
    return replace(
        _blank(target, state, words),
        measured=measured,
        goal=goal,
        gap=gap,
        deciding=deciding,
        more_items=more,
        detectable=detectable(deciding),
    )


def _more_words(target: Target, more: int | None, gap: float) -> str:
    if more is None:
        return "the observed value lies on the bound, so no number of items is sure to settle it"
    of = f" of class {target.label}" if target.label else ""
    of += f" in {target.slice}" if target.slice else ""
    outcome = "a pass" if gap > 0 else "a failure"
    return f"about {more:,} more test items{of} would show {outcome} if the observed value holds"


def _blank(target: Target, state: State, words: str) -> TargetResult:
    about = describe(target)
    asked = f"{about} {bound_words(target)}"
    return TargetResult("target", target.metric, about, asked, target.stage, state, words)
