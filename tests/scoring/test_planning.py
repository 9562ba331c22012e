import pytest

from metier.core.errors import ConfigError
from metier.core.objective import Objective, Target
from metier.core.types import Estimate
from metier.scoring import Assumptions, HeldOut, needs
from metier.scoring.statistics.power import items_for_proportion, observed_for_proportion


def row(target, held_out=None, *, task="classify", assumptions=None, fields=None):
    objective = Objective(task=task, target=[target], fields=fields)
    return needs(objective, held_out, assumptions)[0]


def test_an_absolute_target_before_any_data():
    found = row(Target(metric="accuracy", at_least=0.85))
    assert found.key == "objective.target[0]"
    assert (found.goal, found.assumed) == (0.85, pytest.approx(0.9))
    assert found.items_needed == 363
    assert found.items_now is None and found.observed_needed is None
    assert "if the true value is 0.9" in found.words and "80%" in found.words


def test_hours_at_one_two_and_three_labels():
    found = row(
        Target(metric="accuracy", at_least=0.85), assumptions=Assumptions(seconds_per_label=30)
    )
    assert found.hours == {k: pytest.approx(363 * k * 30 / 3600) for k in (1, 2, 3)}


def test_the_observed_value_must_be_better_than_the_target():
    found = row(Target(metric="accuracy", at_least=0.85), HeldOut(n=300))
    assert found.items_now == 300
    assert found.observed_needed == observed_for_proportion(0.85, 300) > 0.85
    assert 0.05 < found.detectable < 0.06


def test_too_small_a_test_set_says_that_nothing_passes():
    found = row(Target(metric="accuracy", at_least=0.95), HeldOut(n=30))
    assert found.observed_needed is None and found.items_now == 30


def test_an_upper_bound_asks_for_less_than_the_target():
    found = row(Target(metric="error_rate", at_most=0.1), HeldOut(n=400))
    assert found.assumed == pytest.approx(0.05)
    assert found.observed_needed < 0.1


def test_the_margin_never_passes_the_best_value():
    assert row(Target(metric="accuracy", at_least=0.98)).assumed == pytest.approx(0.99)
    perfect = row(Target(metric="accuracy", at_least=1.0))
    assert perfect.items_needed is None and "no interval can reach it" in perfect.words


def test_unequal_classes_need_more_items():
    target = Target(metric="f1_macro", at_least=0.85)
    equal = row(target, HeldOut(class_counts={"": {"a": 100, "b": 100, "c": 100}}))
    unequal = row(target, HeldOut(class_counts={"": {"a": 200, "b": 80, "c": 20}}))
    assert equal.items_needed == 363 and unequal.items_needed > 800
    assert "is worth 0.44 of equal ones" in unequal.words
    assert "equally frequent" in row(target).words


def test_class_counts_of_a_structured_field():
    fields = {"type": "object", "properties": {"route": {"enum": ["a", "b"]}}}
    target = Target(metric="route.f1_macro", at_least=0.85)
    held_out = HeldOut(class_counts={"route": {"a": 90, "b": 10}})
    found = row(target, held_out, task="structured", fields=fields)
    assert found.items_now == 100 and found.items_needed == pytest.approx(363 / 0.36, abs=1.5)


def test_a_class_or_slice_is_counted_in_items_of_the_whole_set():
    counts = {"": {"fraud": 50, "fine": 450}}
    found = row(Target(metric="recall", label="fraud", at_least=0.9), HeldOut(class_counts=counts))
    assert found.items_now == 50
    assert found.items_needed == 10 * items_for_proportion(0.9, 0.95)
    assert "class 'fraud' is 50 of 500 items" in found.words
    part = Target(metric="accuracy", slice="age=90+", at_least=0.85)
    sliced = row(part, HeldOut(n=200, slice_counts={"age=90+": 20}))
    assert sliced.items_needed == 3630
    assert "is not known" in row(part).words


def test_a_reduction_against_the_current_process_is_a_fixed_bound():
    target = Target(
        metric="error_rate", reduce_by=0.7, relative_to="current_process", current_value=0.3
    )
    found = row(target, HeldOut(n=500))
    assert found.goal == pytest.approx(0.09)
    assert found.items_needed == items_for_proportion(0.09, 0.045)


def test_a_reduction_against_a_rung_waits_for_its_value():
    target = Target(metric="error_rate", reduce_by=0.7, relative_to="keyword")
    assert "needs the value of keyword first" in row(target).words
    known = row(target, HeldOut(n=500, references={"keyword": {"error_rate": 0.3}}))
    assert known.goal == pytest.approx(0.09)
    assert "independent mistakes" in known.words
    fixed = items_for_proportion(0.09, 0.045)
    assert known.items_needed > fixed  # the reference is measured, not given


def test_an_increase_beyond_the_range_cannot_be_reached():
    target = Target(metric="accuracy", increase_by=0.3, relative_to="zero_shot")
    found = row(target, HeldOut(n=100, references={"zero_shot": {"accuracy": 0.9}}))
    assert found.goal == pytest.approx(1.2)
    assert found.items_needed is None and "no interval can reach it" in found.words


def test_texts_have_at_most_the_spread_of_a_share():
    target = Target(metric="token_f1", at_least=0.5)
    before = row(target, task="answer")
    assert before.items_needed == items_for_proportion(0.5, 0.55)
    made = Estimate(0.48, 0.45, 0.51, 300, 300)
    after = row(target, HeldOut(n=300, observed={"token_f1": made}), task="answer")
    assert after.items_needed < before.items_needed  # sd 0.265 rather than 0.5
    assert "evaluation already made" in after.words


def test_metrics_without_a_known_spread_wait_for_a_first_evaluation():
    found = row(Target(metric="bleu", at_least=30), HeldOut(n=300), task="summarize")
    assert found.items_needed is None
    assert "is known after a first evaluation" in found.words
    made = Estimate(28.0, 26.0, 30.0, 300, 300)
    measured = row(
        Target(metric="bleu", at_least=30),
        HeldOut(n=300, observed={"bleu": made}),
        task="summarize",
    )
    assert measured.items_needed and measured.observed_needed == pytest.approx(32.0)


def test_latency_needs_items_but_no_labels():
    found = row(Target(metric="latency_p95_s", at_most=5), HeldOut(n=300))
    assert found.items_needed == 72 and found.hours == {}
    assert "293 of today's 300 replies must stay within the bound" in found.words


def test_correlation_is_planned_on_its_own_range():
    found = row(Target(metric="mcc", at_least=0.7))
    assert found.items_needed == items_for_proportion(0.85, 0.9)  # (x + 1) / 2
    assert row(Target(metric="mcc", at_least=-0.5)).items_needed > 0


def test_what_is_measured_elsewhere_stays_open():
    later = Target(metric="csat", stage="pilot", at_least=4)
    assert row(later).words == "open: measured at the pilot stage"
    probe = Target(metric="general_ability_drop", at_most=0.02)
    assert "not measured on the test set" in row(probe).words


def test_constraints_follow_targets():
    objective = Objective(
        task="classify",
        target=[Target(metric="accuracy", at_least=0.8)],
        constraint=[Target(metric="latency_p95_s", at_most=5)],
    )
    assert [r.key for r in needs(objective)] == ["objective.target[0]", "objective.constraint[0]"]


def test_targets_that_cannot_be_computed_are_refused():
    with pytest.raises(ConfigError, match="cannot be computed"):
        row(Target(metric="rouge1", at_least=0.3))
