"""The gate decides on intervals: a mean that meets its target is not enough."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from evaluate_fakes import target
from metier.core.codec import dumps, loads, to_json
from metier.core.records import Look
from metier.core.types import Estimate
from metier.core.workspace import Workspace
from metier.registry import create_release, get_release
from metier.release import Decision, decide, read_decision
from metier.release.promote import plan_promotion
from tiny_releases import BAD, F1, GOOD, LIKED, SLOW, WIDE, any_run, judged, make, manifest


def test_a_whole_interval_on_the_good_side_passes() -> None:
    found = decide(judged(GOOD, constraints=(SLOW,), latency_p95_s=(1.0, 0.9, 1.2)))
    assert found.state == "passed"
    assert found.words == ("passed: all 2 targets and constraints hold on their whole interval",)
    assert found.more_items is None


def test_a_good_mean_with_a_low_lower_bound_does_not_pass() -> None:
    (result,) = judged(WIDE)
    assert result.measured is not None and result.measured.value >= 0.85 > result.measured.low
    found = decide([result])
    assert found.state == "not_enough_data"
    assert found.more_items == 1200
    assert "about 1,200 more test items would settle it" in found.words[0]
    assert found.words[1].startswith("f1_macro at least 0.85: 0.870 [0.830, 0.900] n=400; not")


def test_the_largest_lack_of_data_counts() -> None:
    two = judged(WIDE, constraints=(SLOW,), latency_p95_s=(4.0, 3.0, 8.0))
    needs = [result.more_items for result in two]
    assert None not in needs
    assert decide(two).more_items == max(n for n in needs if n is not None)
    undecidable = replace(two[0], more_items=None)
    assert decide([undecidable]).more_items is None
    assert "no number of test items" in decide([undecidable]).words[0]


def test_a_failure_outweighs_a_lack_of_data() -> None:
    found = decide(judged(BAD, constraints=(SLOW,), latency_p95_s=(4.0, 3.0, 8.0)))
    assert found.state == "failed"
    assert found.more_items is None
    assert [result.state for result in found.unmet] == ["failed", "not_enough_data"]


def test_what_lacks_its_reference_or_was_never_measured_fails() -> None:
    relative = target(metric="f1_macro", increase_by=0.1, relative_to="keyword")
    assert decide(judged(GOOD, (relative,))).state == "failed"
    found = decide(judged(GOOD, constraints=(SLOW,)))
    assert found.state == "failed"
    assert "nothing has measured latency_p95_s yet" in found.words[1]


def test_later_stages_are_told_and_do_not_block() -> None:
    found = decide(judged(GOOD, (LIKED, F1)))
    assert found.state == "passed"
    assert found.unmet == ()
    assert found.words[1].endswith("measured at the pilot stage, not reached yet (does not block)")


def test_without_a_target_nothing_is_passed() -> None:
    for results in ((), judged(GOOD, (LIKED,))):
        found = decide(results)
        assert found.state == "failed"
        assert "no target is set" in found.words[0]


def test_a_decision_survives_being_stored(any_workspace: Workspace) -> None:
    (result,) = judged(WIDE)
    nothing = Estimate(0.9, math.nan, math.nan, 1, 1, warnings=("one item only",))
    found = decide([result, replace(result, measured=nothing, deciding=nothing, more_items=None)])
    assert loads(Decision, dumps(found)).results[0] == result
    make(any_workspace, found.results)
    back = read_decision(get_release(any_workspace))
    assert dumps(back) == dumps(found)
    assert dumps(read_decision(to_json(found))) == dumps(found)
    assert back.results[1].measured is not None
    assert math.isnan(back.results[1].measured.low)


def test_the_look_and_its_level_are_said_and_kept() -> None:
    found = decide(judged(GOOD, level=0.99), Look(2, 5, 2))
    assert (found.state, found.level) == ("not_enough_data", pytest.approx(0.99))
    assert "judged at 99%: look 2 of 5" in found.words[0]
    assert "the bound lies within the 99% interval [0.847, 0.939]" in found.words[1]
    passed = decide(judged((0.95, 0.93, 0.97), level=0.99), Look(2, 5, 2))
    assert passed.state == "passed" and "judged at 99%: look 2 of 5" in passed.words[0]
    stored = loads(Decision, dumps(passed))
    assert stored == passed and stored.look == Look(2, 5, 2)


def test_a_decision_from_before_looks_were_counted_is_read() -> None:
    stored = to_json(decide(judged(GOOD)))
    del stored["look"], stored["level"]
    assert read_decision(stored).state == "passed"
    assert (read_decision(stored).look, read_decision(stored).level) == (None, None)


def test_beyond_the_budget_nothing_passes_and_new_items_are_asked_for() -> None:
    found = decide(judged((0.95, 0.93, 0.97), level=0.99), Look(6, 5, 6))
    assert found.state == "not_enough_data"
    assert found.words == (
        "no looks left: 100 new test items are needed, judged at 99%: look 6 of 5",
    )
    assert found.more_items == 100
    assert found.unmet == ()
    failed = decide(judged((0.70, 0.67, 0.73), level=0.99), Look(6, 5, 6))
    assert failed.state == "failed"


def test_a_release_beyond_the_budget_is_not_promoted(workspace: Workspace) -> None:
    results = judged((0.95, 0.93, 0.97), level=0.99)
    release = make(workspace, results)
    spent = replace(release, gate=to_json(decide(results, Look(6, 5, 6))))
    assert read_decision(spent).state == "not_enough_data"
    assert plan_promotion(workspace, release.id).blocked_by == ()
    stored = create_release(workspace, manifest(workspace, any_run(workspace)), dict(spent.gate))
    (blocked,) = plan_promotion(workspace, stored.id).blocked_by
    assert blocked.startswith("no looks left: 100 new test items are needed")
