"""Groups of people are compared with intervals, and chance gaps are told apart from real ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from evaluate_fakes import CLASSIFY, row, text_row
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, Example, LabelTarget
from metier.evaluate.failures.fairness import Fairness, GroupGap, fairness
from metier.evaluate.failures.items import Judged, judge_items
from metier.scoring import Resampling

FEW = Resampling(resamples=200)
AGES = ("18-39", "40-64", "65+")


def loans(n: int = 300) -> list[Example]:
    return [
        row(
            k,
            f"application {k}",
            LabelTarget("approve" if k % 2 else "decline"),
            age_band=AGES[k % 3],
        )
        for k in range(n)
    ]


def judged_of(examples: list[Example], got: Callable[[Example], str]) -> Judged:
    predictions = [
        Prediction(
            id=new_id("pred"),
            example_id=example.id,
            completion=Completion(got(example)),
            parsed=got(example),
            expected=getattr(example.target, "label", None) or getattr(example.target, "text", ""),
            cluster=example.group or "",
            slices=example.slices,
        )
        for example in examples
    ]
    task = "classify" if isinstance(examples[0].target, LabelTarget) else "answer"
    return judge_items(
        CLASSIFY if task == "classify" else Objective(task="answer"), predictions, examples
    )


def label_of(example: Example) -> str:
    assert isinstance(example.target, LabelTarget)
    return example.target.label


def harsh_on_the_old(example: Example) -> str:
    """Declines half of the over-65 that should be approved."""
    old = example.slices["age_band"] == "65+" and random.Random(example.id).random() < 0.5
    return "decline" if old else label_of(example)


def gap_of(found: Fairness, measure: str) -> GroupGap:
    return next(gap for gap in found.gaps if gap.measure == measure)


def test_a_real_gap_is_told_with_interval_ratio_and_corrected_p() -> None:
    found = fairness(judged_of(loans(), harsh_on_the_old), "age_band", FEW, "approve")
    errors = gap_of(found, "error rate")
    assert (errors.highest, errors.adjusted_p < 0.05) == ("65+", True)
    assert errors.gap.low <= errors.gap.value <= errors.gap.high and errors.gap.n == 300
    recall = gap_of(found, "recall of 'approve'")
    assert recall.lowest == "65+" and recall.gap.value == pytest.approx(0.5, abs=0.15)
    chosen = gap_of(found, "share given 'approve'")
    assert chosen.lowest == "65+" and chosen.ratio.high < 0.8
    assert chosen.ratio.value == pytest.approx(0.5, abs=0.15)


def test_rates_per_group_are_hand_counted() -> None:
    found = fairness(judged_of(loans(60), lambda e: "approve"), "age_band", FEW)
    rates = {(r.measure, r.group): r.estimate for r in found.rates}
    assert rates["error rate", "65+"].value == 0.5 and rates["error rate", "65+"].n == 20
    assert rates["recall of 'approve'", "40-64"].value == 1.0
    assert rates["false positive rate of 'approve'", "40-64"].n == 10
    assert rates["false positive rate of 'decline'", "18-39"].value == 0.0
    assert not next(r for r in found.rates if r.measure.startswith("recall")).judged
    assert [gap.measure for gap in found.gaps] == ["error rate"], "ten items a class are too few"


def test_groups_that_are_treated_alike_show_no_gap_beyond_chance() -> None:
    seen = 0
    for seed in range(10):
        examples = loans(150)
        wrong = set(random.Random(seed).sample([e.id for e in examples], 40))
        judged = judged_of(examples, lambda e, wrong=wrong: "?" if e.id in wrong else label_of(e))
        found = fairness(judged, "age_band", Resampling(resamples=100))
        seen += any(gap.adjusted_p < 0.05 for gap in found.gaps)
        assert all(gap.gap.value > 0 for gap in found.gaps if gap.measure == "error rate")
    assert seen <= 2


def test_a_small_group_is_named_and_not_judged() -> None:
    examples = [
        *loans(120),
        *[row(k, "x", LabelTarget("approve"), age_band="under 18") for k in range(500, 505)],
    ]
    found = fairness(judged_of(examples, label_of), "age_band", FEW)
    assert "under 18 (5)" in found.notes[0] and "under 20 items" in found.notes[0]
    assert all("under 18" not in (gap.highest, gap.lowest) for gap in found.gaps)
    assert ("under 18", 5) in found.groups


def test_an_attribute_nobody_has_says_how_to_declare_it() -> None:
    found = fairness(judged_of(loans(30), label_of), "gender", FEW)
    assert found.groups == () and "slices of a [data] source" in found.notes[0]


def test_items_without_the_attribute_are_counted() -> None:
    examples = [*loans(90), *[row(k, "x", LabelTarget("approve")) for k in range(500, 507)]]
    found = fairness(judged_of(examples, label_of), "age_band", FEW)
    assert "7 items have no age_band" in found.notes[0]


def test_perfect_answers_have_a_ratio_that_says_why_it_is_undefined() -> None:
    found = fairness(judged_of(loans(), label_of), "age_band", FEW)
    errors = gap_of(found, "error rate")
    assert errors.gap.value == 0 and errors.p_value == 1.0
    assert math.isnan(errors.ratio.value) and errors.ratio.method == "undefined"


def test_people_with_several_items_count_once_as_a_unit() -> None:
    examples = [
        row(k, f"t {k}", LabelTarget("approve"), f"person {k // 20}", age_band=AGES[k // 20 % 2])
        for k in range(240)
    ]
    bad = {"person 1", "person 3", "person 5"}
    judged = judged_of(examples, lambda e: "decline" if e.group in bad else "approve")
    errors = gap_of(fairness(judged, "age_band", FEW), "error rate")
    assert errors.gap.value == 0.5 and errors.gap.clusters == 12
    assert errors.p_value > 0.1, "three of six people against none of six is little"


def test_texts_are_compared_by_their_metric() -> None:
    examples = [
        text_row(k, f"q {k}", "we help you").changed("s", slices={"age_band": AGES[k % 2]})
        for k in range(100)
    ]
    judged = judged_of(
        examples, lambda e: "no" if e.slices["age_band"] == AGES[0] else "we help you"
    )
    found = fairness(judged, "age_band", FEW)
    assert found.gaps[0].measure == "token_f1" and found.gaps[0].adjusted_p < 0.01
