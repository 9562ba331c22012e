"""Targets judged on intervals: passed, failed, not enough data, open, or reference missing.

A target passes when the whole interval is on its good side, fails when the whole interval is on
the bad side, and otherwise needs more data, with the number of items that would settle it if the
observed value held. Relative targets are judged on paired differences to their reference. Targets
of later stages, and those that nothing has measured yet, stay open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from metier.core.objective import Objective, Stage, Target
from metier.core.records import EvaluationReport
from metier.core.types import Estimate
from metier.scoring.tasks import metric_info

State = Literal["passed", "failed", "not_enough_data", "open", "reference_missing"]
TUNED, CHAMPION = "tuned", "champion"


class Paired(Protocol):
    """Gives the paired estimate of ``metric(a) - factor * metric(b)`` on the items they share."""

    def __call__(
        self, target: Target, a: EvaluationReport, b: EvaluationReport, factor: float
    ) -> Estimate:
        """Return the estimate, resampled by cluster."""
        ...


@dataclass(frozen=True, slots=True)
class TargetResult:
    """One target or constraint, judged.

    ``about`` names metric, class and slice; ``asked`` is the whole demand in words. ``goal`` is
    the bound in the metric's unit (for a relative target: what the reference's observed value
    implies); ``gap`` is how far the observed value is on the good side of it (negative: short of
    it). ``deciding`` is the interval that decided: the metric's own, or the paired difference.
    ``more_items`` is how many further test items would settle it.
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


def judge(
    objective: Objective,
    candidate: EvaluationReport,
    reports: Sequence[EvaluationReport],
    paired: Paired,
) -> tuple[TargetResult, ...]:
    """Judge every target, then every constraint, of the objective for one candidate."""
    targets = [_judge_one(target, candidate, reports, paired) for target in objective.target]
    limits = [_judge_one(target, candidate, reports, paired) for target in objective.constraint]
    return (*targets, *(replace(limit, kind="constraint") for limit in limits))


def metric_key(target: Target) -> str:
    """Return the name under which a target's metric is found in a report's ``metrics``."""
    return target.metric if target.slice is None else f"{target.metric}@{target.slice}"


def find_estimate(report: EvaluationReport, target: Target) -> Estimate | None:
    """Return the estimate a target is about: overall, of its slice, or of its class."""
    if target.label is None:
        return report.metrics.get(metric_key(target))
    field, _, name = target.metric.rpartition(".")
    return report.per_class.get(field, {}).get(target.label, {}).get(name)


def best_of(reports: Sequence[EvaluationReport], metric: str) -> EvaluationReport | None:
    """Return the report with the best observed value of ``metric``; None when none has it."""
    sign = 1 if metric_info(metric.partition("@")[0]).higher_is_better else -1
    having = [r for r in reports if metric in r.metrics and math.isfinite(r.metrics[metric].value)]
    return max(having, key=lambda report: sign * report.metrics[metric].value, default=None)


def find_reference(target: Target, reports: Sequence[EvaluationReport]) -> EvaluationReport | None:
    """Return the report a relative target refers to, the newest where there are several.

    ``best_untuned`` is the best of all rungs without tuning, classical ones included.
    """
    if target.relative_to == "best_untuned":
        untuned = [report for report in reports if report.rung not in (TUNED, CHAMPION)]
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


def _judge_one(
    target: Target,
    candidate: EvaluationReport,
    reports: Sequence[EvaluationReport],
    paired: Paired,
) -> TargetResult:
    if target.stage != "evaluate":
        words = f"open: measured at the {target.stage} stage, not reached yet"
        return _blank(target, "open", words)
    measured = find_estimate(candidate, target)
    if measured is None:
        return _blank(target, "open", f"open: nothing has measured {describe(target)} yet")
    bound = target.at_least if target.at_least is not None else target.at_most
    if bound is not None:
        return _settle(target, measured, measured, (bound, bound), target.at_least is not None)
    return _judge_relative(target, measured, candidate, reports, paired)


def _judge_relative(
    target: Target,
    measured: Estimate,
    candidate: EvaluationReport,
    reports: Sequence[EvaluationReport],
    paired: Paired,
) -> TargetResult:
    upward = target.increase_by is not None
    factor = 1.0 if target.reduce_by is None else 1.0 - target.reduce_by
    shift = target.increase_by or 0.0
    if target.current_value is not None:
        goal = factor * target.current_value + shift
        result = _settle(target, measured, measured, (goal, goal), upward)
        return replace(result, reference="current_process")
    reference = find_reference(target, reports)
    estimate = find_estimate(reference, target) if reference else None
    if reference is None or estimate is None:
        words = f"reference missing: no {target.relative_to} evaluation on the same split"
        return replace(_blank(target, "reference_missing", words), measured=measured)
    difference = paired(target, candidate, reference, factor)
    goal = factor * estimate.value + shift
    result = _settle(target, measured, difference, (shift, goal), upward)
    return replace(result, reference=reference.rung)


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
    state: State
    if not (math.isfinite(deciding.low) and math.isfinite(deciding.high)):
        state = "not_enough_data"
        words = f"not enough data: {'; '.join(deciding.warnings) or 'no interval can be had'}"
    elif deciding.low >= bound if upward else deciding.high <= bound:
        state, words = "passed", "passed: the whole interval is on the good side"
    elif deciding.high < bound if upward else deciding.low > bound:
        state, words = "failed", "failed: the whole interval is on the wrong side"
    else:
        state, more = "not_enough_data", items_to_settle(deciding, bound)
        settle = _more_words(target, more, gap)
        words = f"not enough data: the bound lies within the interval; {settle}"
    return replace(
        _blank(target, state, words),
        measured=measured,
        goal=goal,
        gap=gap,
        deciding=deciding,
        more_items=more,
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
