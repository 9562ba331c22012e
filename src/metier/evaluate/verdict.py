"""The verdict in words: did tuning pay, against the best baseline, whichever that is?

    Tuning pays: f1_macro 0.871 [0.840, 0.899] n=400 (tuned) against 0.702 [0.660, 0.741] n=400
    (tfidf), +0.169 [+0.124, +0.214] on the same items.

It may be "don't tune": when a baseline, also a keyword list or TF-IDF, is within the interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from metier.core.objective import Objective
from metier.core.records import Difference, EvaluationReport, Look
from metier.core.types import Estimate
from metier.evaluate.config import PROMPTED_RUNGS
from metier.scoring import primary_metric
from metier.scoring.goals.looks import look_level, looks_words
from metier.scoring.goals.targets import (
    NO_BASELINES,
    TUNED,
    Paired,
    TargetResult,
    best_of,
    judge,
)
from metier.scoring.statistics.intervals import percent
from metier.scoring.tasks import shown_info

Decision = Literal["tuning_pays", "dont_tune", "no_baseline", "not_tuned", "nothing_measured"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the numbers say. ``headline`` is one sentence; ``words`` are those that follow it.

    ``candidate`` and ``best_baseline`` are report ids; ``metric`` is what they are compared on.
    ``results`` judge the candidate, or without one the best baseline.
    """

    decision: Decision
    headline: str
    words: tuple[str, ...]
    results: tuple[TargetResult, ...]
    metric: str
    candidate: str | None = None
    best_baseline: str | None = None


def verdict(
    objective: Objective,
    reports: Sequence[EvaluationReport],
    differences: Sequence[Difference],
    paired: Paired,
    untrusted: Mapping[str, str] = MappingProxyType({}),
    *,
    look: Look | None = None,
) -> Verdict:
    """Say what was found on one split of one version.

    ``differences`` are those of the candidate (``a``) to each other report (``b``), named by
    report id. The candidate is the newest tuned report. ``untrusted`` is as for ``judge``;
    ``look`` is the candidate's at the test set: targets are then judged as the gate does.
    """
    metric = primary_metric(objective)
    tuned = [report for report in reports if report.rung == TUNED]
    candidate = max(tuned, key=lambda report: report.created_at) if tuned else None
    baselines = [report for report in reports if report.rung not in NO_BASELINES]
    best = best_of(baselines, metric)
    judged = candidate or best
    if judged is None:
        return Verdict("nothing_measured", "Nothing has been measured yet.", (), (), metric)
    level = look_level(look.budget) if look else None
    results = judge(objective, judged, reports, paired, untrusted, level=level)
    if candidate is None:
        decision, headline, words = _without_candidate(metric, judged, results)
    else:
        decision, headline, words = _against(metric, candidate, best, differences)
        words = [*words, *_language_model_words(metric, candidate, baselines, best, differences)]
    return Verdict(
        decision,
        headline,
        (*words, *_target_words(results, judged, look)),
        results,
        metric,
        candidate.id if candidate else None,
        best.id if best else None,
    )


def signed(estimate: Estimate) -> str:
    """Write a difference with its sign and interval, e.g. ``+0.169 [+0.124, +0.214] n=400``."""
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}] n={estimate.n}"


def _against(
    metric: str,
    candidate: EvaluationReport,
    best: EvaluationReport | None,
    differences: Sequence[Difference],
) -> tuple[Decision, str, list[str]]:
    own = candidate.metrics.get(metric)
    if own is None:
        headline = f"Unproven: {candidate.id} was measured before {metric} was asked for."
        return "no_baseline", headline, ["Evaluate again; the answers are not made anew."]
    difference = _find(differences, metric, candidate, best)
    if best is None or difference is None:
        headline = f"Unproven: {metric} is {own}, but no baseline was measured beside it."
        return "no_baseline", headline, ["Measure the baselines to know what tuning brought."]
    numbers = (
        f"{metric} {own} ({candidate.rung}) against {best.metrics[metric]} ({best.rung}), "
        f"difference {signed(difference.estimate)} on the same items, p {_p(difference)}"
    )
    name = _named(best)
    side = _side(difference.estimate, metric)
    if side > 0:
        return "tuning_pays", f"Tuning pays: it beats the best baseline, {name}.", [numbers + "."]
    words = [numbers + ".", _cost_words(candidate, best)]
    if side < 0:
        return "dont_tune", f"Don't tune: {name} is better than the tuned model.", words
    return "dont_tune", f"Don't tune: {name} is within the interval.", words


def _without_candidate(
    metric: str, best: EvaluationReport, results: Sequence[TargetResult]
) -> tuple[Decision, str, list[str]]:
    words = [f"Best so far: {metric} {best.metrics[metric]} ({best.rung})."]
    reached = [r for r in results if r.state != "open"]
    if reached and all(result.state == "passed" for result in reached):
        headline = f"Don't tune: {_named(best)} already meets every target that can be judged."
        return "dont_tune", headline, words
    return "not_tuned", "The baselines are measured; nothing has been tuned yet.", words


def _language_model_words(
    metric: str,
    candidate: EvaluationReport,
    baselines: Sequence[EvaluationReport],
    best: EvaluationReport | None,
    differences: Sequence[Difference],
) -> list[str]:
    """Say how tuning did against the untuned language model where that is not the best rung."""
    prompted = best_of([r for r in baselines if r.rung in PROMPTED_RUNGS], metric)
    difference = _find(differences, metric, candidate, prompted)
    if prompted is None or difference is None or (best and prompted.id == best.id):
        return []
    side = _side(difference.estimate, metric)
    how = {1: "is better than", 0: "cannot be told apart from", -1: "is worse than"}[side]
    return [
        f"The tuned model {how} the best untuned language model ({prompted.rung}): "
        f"{signed(difference.estimate)}, p {_p(difference)}."
    ]


def _target_words(
    results: Sequence[TargetResult], judged: EvaluationReport, look: Look | None
) -> list[str]:
    if not results:
        return ["No target is set, so there is nothing to pass or fail."]
    counts = Counter(result.state for result in results)
    counted = [
        _counted(counts["failed"], "fails", "fail"),
        _counted(counts["not_enough_data"], "needs more data", "need more data"),
        _counted(counts["reference_missing"], "lacks its reference", "lack their reference"),
        _counted(counts["untrusted"], "may not be judged yet", "may not be judged yet"),
        _counted(counts["open"], "is open", "are open"),
    ]
    name = "the tuned model" if judged.rung == TUNED else _named(judged)
    total = _counted(len(results), "target or constraint", "targets and constraints")
    first = f"Of {total}, {name} passes {counts['passed']}"
    return ["; ".join([first, *(part for part in counted if part)]) + ".", *_look_words(look)]


def _look_words(look: Look | None) -> list[str]:
    if look is None:
        return []
    spent = looks_words(look.spent, look.budget)
    return [f"Judged at {percent(look_level(look.budget))}, {look} at this test set: {spent}."]


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}" if count else ""


def _cost_words(candidate: EvaluationReport, best: EvaluationReport) -> str:
    return (
        f"Per 1,000 replies {best.rung} costs ${best.usd_per_1000:.4f}, "
        f"{candidate.rung} ${candidate.usd_per_1000:.4f}."
    )


def _named(report: EvaluationReport) -> str:
    names = {
        "keyword": "the keyword baseline",
        "tfidf": "the TF-IDF classifier",
        "nearest": "copying the nearest training example",
        "lead": "taking the first sentences",
        "zero_shot": "the untuned model (zero-shot)",
        "few_shot": "the untuned model (few-shot)",
    }
    return names.get(report.rung, report.rung)


def _find(
    differences: Sequence[Difference],
    metric: str,
    a: EvaluationReport,
    b: EvaluationReport | None,
) -> Difference | None:
    if b is None:
        return None
    return next((d for d in differences if (d.metric, d.a, d.b) == (metric, a.id, b.id)), None)


def _side(estimate: Estimate, metric: str) -> int:
    """Return 1 when the whole interval says better, -1 when worse, 0 when it holds zero."""
    sign = 1 if shown_info(metric).higher_is_better else -1
    if estimate.low > 0:
        return sign
    return -sign if estimate.high < 0 else 0


def _p(difference: Difference) -> str:
    return "< 0.001" if difference.p_value < 0.001 else f"= {difference.p_value:.3f}"
