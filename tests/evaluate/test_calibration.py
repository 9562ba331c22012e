"""Calibration: errors by hand, the temperature of a model that overstates, and abstention."""

from __future__ import annotations

import math
import random

import pytest

from metier.core.records import Prediction
from metier.core.types import Completion, Json
from metier.evaluate.effects.calibration import (
    brier,
    calibration,
    choose_threshold,
    curve,
    ece,
    equal_mass,
    equal_width,
    fit_temperature,
    if_calibrated,
    stated,
)
from metier.scoring import Resampling

QUICK = Resampling(resamples=200)


def prediction(
    number: int,
    confidence: float | None,
    right: bool,
    *,
    logprobs: dict[str, float] | None = None,
    error: str | None = None,
    cluster: str = "",
) -> Prediction:
    completion = Completion("a", confidence=confidence, choice_logprobs=logprobs, error=error)
    parsed: Json = None if error else "a"
    wanted = "a" if right else "b"
    return Prediction(f"pred_{number}", f"ex_{number}", completion, parsed, wanted, cluster)


def sure(pairs: list[tuple[float, bool]]) -> list[Prediction]:
    return [prediction(n, p, ok) for n, (p, ok) in enumerate(pairs)]


def overstating(count: int, seed: int, factor: float = 3.0) -> list[Prediction]:
    """Two labels; log-odds are ``factor`` times too large."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        odds = abs(rng.gauss(0.0, 1.5))
        right = rng.random() < 1 / (1 + math.exp(-odds))
        said = factor * odds
        top = math.log(1 / (1 + math.exp(-said)))
        logprobs = {"a": top, "b": math.log(-math.expm1(top)) if top < 0 else -50.0}
        found.append(prediction(number, None, right, logprobs=logprobs))
    return found


def test_the_error_by_hand() -> None:
    # Bins (0.5, 0.75] and (0.75, 1]: gaps |1.2 - 1| and |1.7 - 2|, over four items.
    answers = stated(sure([(0.6, True), (0.6, False), (0.8, True), (0.9, True)]))
    edges = equal_width(4)
    assert ece(answers, "ece", edges, QUICK).value == pytest.approx((0.2 + 0.3) / 4)
    by_hand = (0.4**2 + 0.6**2 + 0.2**2 + 0.1**2) / 4
    assert brier(answers, QUICK).value == pytest.approx(by_hand)


def test_adaptive_bins_hold_equally_many() -> None:
    answers = stated(sure([(0.5 + n / 1000, True) for n in range(100)]))
    found = curve(answers, equal_mass(answers, 5))
    assert [one.right.n for one in found] == [20] * 5
    same = stated(sure([(0.7, True)] * 10))
    assert [one.right.n for one in curve(same, equal_mass(same, 5))] == [10]


def test_the_curve_has_an_interval_per_bin() -> None:
    found = curve(stated(sure([(0.9, n % 10 > 0) for n in range(100)])), equal_width(10))
    (one,) = found
    assert (one.low, one.high) == (pytest.approx(0.8), pytest.approx(0.9))
    assert one.right.low < 0.9 < one.right.high and one.right.n == 100


def test_a_perfect_model_shows_an_error_that_is_only_noise() -> None:
    rng = random.Random(5)
    pairs = [(p, rng.random() < p) for p in (rng.uniform(0.5, 1.0) for _ in range(400))]
    answers = stated(sure(pairs))
    mean, most = if_calibrated(answers, equal_width(10), 0)
    found = ece(answers, "ece", equal_width(10), QUICK).value
    assert 0 < mean < most
    assert found < most


def test_a_temperature_fitted_on_validation_mends_test() -> None:
    found = calibration(overstating(600, 1), overstating(600, 2), bins=10, resampling=QUICK)
    assert found.temperature == pytest.approx(3.0, rel=0.35)
    before, after = found.metrics["ece"], found.metrics["ece_tempered"]
    assert after.high < before.low
    assert before.value > found.expected_most > after.value
    assert found.validation_items == 600


def test_where_only_a_confidence_is_known_it_scales_the_log_odds() -> None:
    pairs = [(0.99, n % 4 > 0) for n in range(200)]
    temperature = fit_temperature(stated(sure(pairs)))
    scaled = stated(sure(pairs))[0].at(temperature)
    assert scaled == pytest.approx(0.75, abs=0.02)
    assert fit_temperature([]) == 1.0


def test_the_temperature_stays_finite_when_all_are_right() -> None:
    found = calibration(sure([(0.9, True)] * 40), sure([(0.9, True)] * 40), resampling=QUICK)
    assert 0.05 <= found.temperature <= 20
    assert found.metrics["ece_tempered"].value <= found.metrics["ece"].value


def test_abstention_keeps_what_reaches_the_precision() -> None:
    def rows(start: int) -> list[Prediction]:
        pairs = [(0.95, n % 50 > 0) for n in range(100)] + [(0.6, n % 2 > 0) for n in range(100)]
        return [prediction(start + n, p, ok) for n, (p, ok) in enumerate(pairs)]

    found = calibration(rows(0), rows(500), precision=0.95, resampling=QUICK)
    assert found.threshold == 0.95
    precision, coverage = (found.metrics[f"abstention_{x}"] for x in ("precision", "coverage"))
    assert (precision.value, precision.n) == (0.98, 100)
    assert (coverage.value, coverage.n) == (0.5, 200)
    assert precision.low < 0.98 < precision.high


def test_no_threshold_means_all_are_abstained_from() -> None:
    rows = sure([(0.9, n % 2 > 0) for n in range(60)])
    found = calibration(rows, rows, precision=0.95, resampling=QUICK)
    assert found.threshold is None
    assert found.metrics["abstention_precision"].method == "undefined"
    assert found.metrics["abstention_coverage"].value == 0.0


def test_a_threshold_on_a_handful_is_not_chosen() -> None:
    assert choose_threshold(stated(sure([(0.99, True)] * 9 + [(0.5, False)] * 50)), 0.95) is None
    assert choose_threshold(stated(sure([(0.99, True)] * 10 + [(0.5, False)] * 50)), 0.95) == 0.99


def test_equal_confidences_are_kept_or_left_together() -> None:
    rows = stated(sure([(0.8, True)] * 12 + [(0.8, False)] * 12))
    assert choose_threshold(rows, 0.95) is None, "the order of equals must not decide"


def test_answers_that_failed_are_full_misses_and_stay_in_the_denominator() -> None:
    rows = sure([(0.9, True)] * 90) + [
        prediction(900 + n, None, False, error="down") for n in range(10)
    ]
    answers = stated(rows)
    found = ece(answers, "ece", equal_width(10), QUICK)
    assert found.n == 100
    assert found.value == pytest.approx((90 * 0.1 + 10 * 1.0) / 100)
    assert "10 of 100" in " ".join(found.warnings)
    whole = calibration(rows, rows, precision=0.5, resampling=QUICK)
    assert whole.metrics["abstention_coverage"].value == 0.9


def test_a_model_that_states_none_is_undefined_and_says_why() -> None:
    rows = [prediction(n, None, True) for n in range(20)]
    found = calibration(rows, rows, resampling=QUICK)
    for name in ("ece", "ece_adaptive", "ece_tempered", "brier"):
        assert found.metrics[name].method == "undefined"
        assert "confidence" in found.metrics[name].warnings[0]
    assert found.temperature == 1.0 and found.curve == ()


def test_nothing_at_all_is_undefined() -> None:
    found = calibration([], [], resampling=QUICK)
    assert {one.method for name, one in found.metrics.items() if name != "x"} == {"undefined"}


def test_rows_of_one_person_widen_the_interval() -> None:
    rows = [(0.9, n // 10 % 2 == 0) for n in range(200)]
    apart = [prediction(n, p, ok) for n, (p, ok) in enumerate(rows)]
    together = [prediction(n, p, ok, cluster=f"p{n // 10}") for n, (p, ok) in enumerate(rows)]
    widths = [
        one.high - one.low for one in (brier(stated(apart), QUICK), brier(stated(together), QUICK))
    ]
    assert widths[1] > 1.5 * widths[0]


def test_the_closed_part_of_a_structured_answer_counts() -> None:
    wanted, got = {"route": "a", "reply": "hello"}, {"route": "a", "reply": "good day"}
    one = Prediction("p", "e", Completion("", confidence=0.8), got, wanted, "")
    assert stated([one], ["route"])[0].right
    assert not stated([one], ["route", "reply"])[0].right
