import math

import numpy as np
import pytest

from metier.core.errors import InputError
from metier.core.types import Score
from metier.scoring import Resampling, make_metric, mcnemar, paired_difference, permutation_test


def graded(right, *, clusters=None, start=0):
    names = clusters or [""] * len(right)
    return [
        Score(f"e{start + i:03d}", None, "yes", "yes" if ok else "no", cluster=c)
        for i, (ok, c) in enumerate(zip(right, names, strict=True))
    ]


def test_a_difference_is_that_of_the_two_values():
    a = graded([1] * 80 + [0] * 20)
    b = graded([1] * 60 + [0] * 40)
    found = paired_difference(make_metric("accuracy"), a, b)
    assert found.estimate.value == pytest.approx(0.2)
    assert 0.1 < found.estimate.low < 0.2 < found.estimate.high < 0.3
    assert found.p_value < 0.01
    assert found.estimate.n == 100


def test_pairing_narrows_what_two_separate_intervals_would_leave_open():
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    a = graded(hard)
    b = graded(hard & (rng.random(300) < 0.9))
    metric = make_metric("accuracy")
    apart = metric(a).low - metric(b).high
    assert apart < 0 < paired_difference(metric, a, b).estimate.low


def test_the_p_value_agrees_with_the_interval_and_with_mcnemar():
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.04, 0.08, 0.12):
        b = rng.random(200) < 0.7
        a = np.where(rng.random(200) < shift, True, b ^ (rng.random(200) < 0.1))
        found = paired_difference(make_metric("accuracy"), graded(a), graded(b))
        leaves_out_zero = found.estimate.low > 0 or found.estimate.high < 0
        assert (found.p_value < 0.05) == leaves_out_zero
        exact = mcnemar(int((a & ~b).sum()), int((b & ~a).sum()))
        # discordant pairs are few, so the exact test is the more careful of the two
        assert found.p_value <= exact + 0.02
        swapped = permutation_test(make_metric("accuracy"), graded(a), graded(b))
        assert swapped == pytest.approx(exact, abs=0.04)


@pytest.mark.parametrize("metric", ["f1_macro", "accuracy"])
@pytest.mark.parametrize("seed", range(4))
def test_one_item_of_many_proves_nothing(metric, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 10, 234)
    said = np.where(rng.random(234) < 0.75, truth, rng.integers(0, 10, 234))
    said[0] = (truth[0] + 1) % 10
    better = said.copy()
    better[0] = truth[0]

    def scores(answers):
        return [
            Score(f"e{i:03d}", None, f"c{t}", f"c{s}", cluster="")
            for i, (t, s) in enumerate(zip(truth, answers, strict=True))
        ]

    found = paired_difference(
        make_metric(metric), scores(better), scores(said), Resampling(seed=seed)
    )
    assert found.p_value > 0.3, found
    assert found.estimate.low <= 0 < found.estimate.value


def test_permutation_enumerates_a_case_small_enough_to_count():
    # 6 discordant pairs, all for a: only "no swap" and "all swapped" reach |6/6|, 2 of 64
    a, b = graded([1] * 6), graded([0] * 6)
    p = permutation_test(make_metric("accuracy"), a, b, Resampling(20_000))
    assert p == pytest.approx(2 / 64, abs=0.005)


def test_swapping_the_systems_turns_the_sign():
    a, b = graded([1, 1, 0, 1] * 20), graded([1, 0, 0, 1] * 20)
    there = paired_difference(make_metric("f1_macro"), a, b, Resampling(method="percentile"))
    back = paired_difference(make_metric("f1_macro"), b, a, Resampling(method="percentile"))
    assert there.estimate.value == pytest.approx(-back.estimate.value)
    assert there.estimate.low == pytest.approx(-back.estimate.high)


def test_the_same_answers_differ_by_nothing_but_not_surely():
    a = graded([1, 0] * 50)
    found = paired_difference(make_metric("accuracy"), a, a)
    assert found.estimate.value == 0 and found.p_value == 1.0
    assert found.estimate.low == -found.estimate.high
    assert found.estimate.high == pytest.approx(0.037, abs=1e-3)  # Wilson, 0 of 100


def test_a_constant_gain_is_significant_and_keeps_an_interval():
    found = paired_difference(make_metric("accuracy"), graded([1] * 100), graded([0] * 100))
    assert found.estimate.value == 1.0 and found.estimate.low < 1.0
    assert found.p_value == pytest.approx(2 / 2001)


def test_a_factor_tests_a_relative_reduction():
    # errors 10% against 40%: fewer than half as many, and not fewer than a tenth
    a, b = graded([0] * 10 + [1] * 90), graded([0] * 40 + [1] * 60)
    half = paired_difference(make_metric("error_rate"), a, b, factor=0.5)
    tenth = paired_difference(make_metric("error_rate"), a, b, factor=0.1)
    assert half.estimate.value == pytest.approx(0.1 - 0.2) and half.estimate.high < 0
    assert tenth.estimate.value == pytest.approx(0.1 - 0.04) and tenth.estimate.low > 0


def test_clusters_are_swapped_and_drawn_whole():
    right = [True] * 40 + [False] * 40
    names = [f"c{i // 10}" for i in range(80)]
    a, b = graded(right, clusters=names), graded([False] * 80, clusters=names)
    apart = paired_difference(make_metric("accuracy"), graded(right), graded([False] * 80))
    whole = paired_difference(make_metric("accuracy"), a, b)
    assert whole.estimate.clusters == 8
    width = whole.estimate.high - whole.estimate.low
    assert width > 2 * (apart.estimate.high - apart.estimate.low)
    # of the 8 clusters 4 differ: all four the same way has probability 2 / 16
    assert permutation_test(make_metric("accuracy"), a, b) == pytest.approx(1 / 8, abs=0.03)


def test_items_are_matched_by_id_not_by_place():
    a, b = graded([1, 1, 0, 0] * 10), graded([1, 1, 0, 0] * 10)
    assert paired_difference(make_metric("accuracy"), a, b[::-1]).estimate.value == 0


def test_different_items_are_refused_by_name():
    with pytest.raises(InputError, match=r"only one of them answered, e\.g\. e000"):
        paired_difference(make_metric("accuracy"), graded([1, 1]), graded([1, 1], start=1))
    twice = graded([1, 1]) + graded([1])
    with pytest.raises(InputError, match="appear twice"):
        paired_difference(make_metric("accuracy"), twice, graded([1, 1]))


def test_an_item_undefined_for_one_side_still_compares_the_rest():
    a = [Score(f"e{i:03d}", None, detail={"latency_s": 1.0 + i % 3}) for i in range(60)]
    b = [Score(f"e{i:03d}", None, detail={"latency_s": 2.0 + i % 4}) for i in range(60)]
    b[0] = Score("e000", None)
    found = paired_difference(make_metric("latency_mean_s"), a, b)
    assert math.isfinite(found.estimate.low)
    assert any("have no latency" in warning for warning in found.estimate.warnings)
    assert 0 < permutation_test(make_metric("latency_mean_s"), a, b) <= 1


def test_nothing_in_common_is_said():
    found = paired_difference(make_metric("accuracy"), [], [])
    assert math.isnan(found.estimate.value) and math.isnan(found.p_value)
    assert found.estimate.warnings[0] == "no items to measure"
    assert math.isnan(permutation_test(make_metric("accuracy"), [], []))


def test_p_value_agrees_with_an_interval_that_no_resample_crosses() -> None:
    """Macro F1 over many small classes is biased under resampling; the correction for that must
    not turn a difference that every draw shows into a doubtful one."""
    labels = [f"c{i % 77}" for i in range(308)]
    a = [Score(f"e{i}", None, w, w if i % 5 else "c0") for i, w in enumerate(labels)]
    b = [Score(f"e{i}", None, w, w if i % 2 else "c1") for i, w in enumerate(labels)]
    found = paired_difference(make_metric("f1_macro"), a, b, Resampling(resamples=300, seed=0))
    assert found.estimate.low > 0
    assert found.p_value == pytest.approx(2 / 301)
