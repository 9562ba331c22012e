"""Targets are judged on the interval, not on the observed value."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from evaluate_fakes import paired, report, target
from metier.core.objective import Objective, Target
from metier.core.records import EvaluationReport
from metier.core.types import Estimate
from metier.scoring.goals.targets import find_reference, items_to_settle, judge


def judged(asked: Target, *reports: EvaluationReport, difference=None):  # type: ignore[no-untyped-def]
    objective = Objective(task="classify", target=[asked])
    return judge(objective, reports[0], reports, difference or paired(0, 0, 0))[0]


@pytest.mark.parametrize(
    ("interval", "state"),
    [
        ((0.90, 0.86, 0.93), "passed"),
        ((0.86, 0.85, 0.90), "passed"),
        ((0.88, 0.84, 0.91), "not_enough_data"),
        ((0.83, 0.80, 0.86), "not_enough_data"),
        ((0.80, 0.77, 0.84), "failed"),
    ],
)
def test_at_least_is_judged_on_the_lower_bound(
    interval: tuple[float, float, float], state: str
) -> None:
    found = judged(
        target(metric="f1_macro", at_least=0.85), report("tuned", {"f1_macro": interval})
    )
    assert found.state == state
    assert found.goal == 0.85
    assert found.gap == pytest.approx(interval[0] - 0.85)


@pytest.mark.parametrize(
    ("interval", "state"),
    [((2.0, 1.5, 4.9), "passed"), ((4.0, 3.0, 6.0), "not_enough_data"), ((9, 8, 10), "failed")],
)
def test_at_most_is_judged_on_the_upper_bound(
    interval: tuple[float, float, float], state: str
) -> None:
    found = judged(
        target(metric="latency_p95_s", at_most=5.0), report("tuned", {"latency_p95_s": interval})
    )
    assert found.state == state
    assert found.gap == pytest.approx(5.0 - interval[0])


def test_more_items_follow_from_the_width() -> None:
    # An arm of 0.04 at n = 400 must shrink to the distance 0.02: four times the items.
    estimate = Estimate(0.87, 0.83, 0.90, n=400, clusters=400)
    assert items_to_settle(estimate, 0.85) == 1200
    assert items_to_settle(replace(estimate, value=0.85), 0.85) is None
    assert items_to_settle(replace(estimate, low=math.nan), 0.85) is None


def test_not_enough_data_says_how_many_items_would_show_what() -> None:
    likely = judged(
        target(metric="f1_macro", at_least=0.85), report("tuned", {"f1_macro": (0.87, 0.83, 0.90)})
    )
    assert likely.more_items == 1200
    assert "about 1,200 more test items would show a pass" in likely.words
    unlikely = judged(
        target(metric="f1_macro", at_least=0.85), report("tuned", {"f1_macro": (0.84, 0.80, 0.86)})
    )
    assert "would show a failure" in unlikely.words


def test_no_interval_is_not_enough_data_with_the_reason() -> None:
    estimate = Estimate(
        0.9, math.nan, math.nan, n=8, clusters=1, warnings=("all items belong to one cluster",)
    )
    lonely = replace(report("tuned", {}), metrics={"f1_macro": estimate})
    found = judged(target(metric="f1_macro", at_least=0.85), lonely)
    assert found.state == "not_enough_data"
    assert found.words == "not enough data: all items belong to one cluster"


def test_later_stages_and_unmeasured_metrics_stay_open() -> None:
    later = judged(target(metric="empathy", at_least=4, stage="review"), report("tuned", {}))
    assert (later.state, later.stage) == ("open", "review")
    assert "measured at the review stage" in later.words
    never = judged(target(metric="general_ability_drop", at_most=0.02), report("tuned", {}))
    assert never.state == "open"
    assert never.words == "open: nothing has measured general_ability_drop yet"


def test_a_reduction_is_judged_on_the_paired_scaled_difference() -> None:
    ours = report("tuned", {"error_rate": (0.10, 0.07, 0.13)})
    theirs = report("keyword", {"error_rate": (0.50, 0.45, 0.55)})
    asked = target(metric="error_rate", reduce_by=0.7, relative_to="keyword")
    difference = paired(-0.05, -0.08, -0.01)
    found = judged(asked, ours, theirs, difference=difference)
    assert difference.asked == [("tuned", "keyword", pytest.approx(0.3))]
    assert found.state == "passed"
    assert found.goal == pytest.approx(0.15)
    assert found.gap == pytest.approx(0.05)
    assert found.reference == "keyword"
    assert found.deciding is not None and found.deciding.high == -0.01
    missed = judged(asked, ours, theirs, difference=paired(0.02, 0.01, 0.04))
    assert missed.state == "failed"


def test_an_increase_is_judged_on_the_paired_difference() -> None:
    ours = report("tuned", {"f1_macro": (0.80, 0.77, 0.83)})
    theirs = report("zero_shot", {"f1_macro": (0.60, 0.55, 0.65)})
    asked = target(metric="f1_macro", increase_by=0.15, relative_to="zero_shot")
    found = judged(asked, ours, theirs, difference=paired(0.20, 0.13, 0.27))
    assert found.state == "not_enough_data"
    assert found.goal == pytest.approx(0.75)
    assert found.asked == "f1_macro 0.15 above zero shot"


def test_the_current_process_needs_no_report() -> None:
    ours = report("tuned", {"error_rate": (0.10, 0.08, 0.12)})
    asked = target(
        metric="error_rate", reduce_by=0.5, relative_to="current_process", current_value=0.35
    )
    found = judged(asked, ours)
    assert (found.state, found.reference) == ("passed", "current_process")
    assert found.goal == pytest.approx(0.175)


def test_a_missing_reference_is_said() -> None:
    asked = target(metric="f1_macro", increase_by=0.1, relative_to="champion")
    found = judged(asked, report("tuned", {"f1_macro": (0.8, 0.7, 0.9)}))
    assert found.state == "reference_missing"
    assert found.words == "reference missing: no champion evaluation on the same split"


def test_best_untuned_is_the_best_of_all_rungs_but_the_tuned_ones() -> None:
    reports = [
        report("tuned", {"f1_macro": (0.9, 0.8, 1.0)}),
        report("champion", {"f1_macro": (0.95, 0.9, 1.0)}),
        report("tfidf", {"f1_macro": (0.7, 0.6, 0.8)}),
        report("few_shot", {"f1_macro": (0.5, 0.4, 0.6)}),
    ]
    asked = target(metric="f1_macro", increase_by=0.1, relative_to="best_untuned")
    found = find_reference(asked, reports)
    assert found is not None and found.rung == "tfidf"
    errors = [
        report("tfidf", {"error_rate": (0.3, 0.2, 0.4)}),
        report("few_shot", {"error_rate": (0.5, 0.4, 0.6)}),
    ]
    asked = target(metric="error_rate", reduce_by=0.1, relative_to="best_untuned")
    found = find_reference(asked, errors)
    assert found is not None and found.rung == "tfidf"


def test_a_target_on_one_class_reads_that_class() -> None:
    of_class = Estimate(0.95, 0.91, 0.98, n=60, clusters=60)
    ours = replace(report("tuned", {}), per_class={"": {"fraud": {"recall": of_class}}})
    found = judged(target(metric="recall", at_least=0.9, label="fraud"), ours)
    assert (found.state, found.measured) == ("passed", of_class)
    assert found.asked == "recall of fraud at least 0.9"


def test_a_target_on_a_slice_reads_that_slice() -> None:
    ours = report("tuned", {"accuracy@age=90+": (0.7, 0.5, 0.8), "accuracy": (0.9, 0.88, 0.92)})
    found = judged(target(metric="accuracy", at_least=0.85, slice="age=90+"), ours)
    assert found.state == "failed"
    assert found.about == "accuracy in age=90+"


def test_targets_come_before_constraints() -> None:
    objective = Objective(
        task="classify",
        target=[target(metric="f1_macro", at_least=0.5)],
        constraint=[target(metric="latency_p95_s", at_most=1)],
    )
    found = judge(objective, report("tuned", {}), [], paired(0, 0, 0))
    assert [(one.kind, one.metric) for one in found] == [
        ("target", "f1_macro"),
        ("constraint", "latency_p95_s"),
    ]
