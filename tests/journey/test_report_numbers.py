"""Numbers as a reader of the report sees them."""

from __future__ import annotations

import math

import pytest

from metier.core.types import Estimate
from metier.journey.report.numbers import answer, interval, number, p_words, setting, tick, usd


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, n=10, clusters=10)


def test_a_value_travels_with_its_interval() -> None:
    assert interval(estimate(0.8714, 0.84, 0.9)) == "0.871 [0.840, 0.900]"
    assert interval(estimate(-0.05, -0.1, 0.01), signed=True) == "−0.050 [−0.100, +0.010]"
    assert interval(estimate(0.5, math.nan, math.nan)) == "0.500 [no interval]"
    assert interval(None) == interval(estimate(math.nan, 0, 0)) == "–"


def test_short_times_are_in_milliseconds_throughout() -> None:
    assert interval(estimate(0.0315, 0.03, 0.12), "s") == "31.5\u202fms [30.0, 120.0]"
    assert interval(estimate(2.0, 1.5, 2.5), "s") == "2.000\u202fs [1.500, 2.500]"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "$0"), (0.00001, "< $0.0001"), (0.0123, "$0.012"), (12.5, "$12.50")]
)
def test_prices(value: float, text: str) -> None:
    assert usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.5, "0.5"), (1804.2, "1,804"), (-0.036, "−0.036")]
)
def test_axis_labels(value: float, text: str) -> None:
    assert tick(value) == text


def test_large_numbers_have_no_places() -> None:
    assert (number(1234.5), number(12.34), number(None)) == ("1,234", "12.3", "–")


def test_p_values() -> None:
    assert (p_words(0.0004), p_words(0.0312), p_words(math.nan)) == ("< 0.001", "0.031", "–")


def test_answers_are_written_for_reading() -> None:
    assert answer(None) == "no answer"
    assert answer({"route": "billing", "tags": ["a", "b"]}) == "route: billing\ntags: a, b"
    assert answer([]) == "none"


def test_settings_fit_on_a_line() -> None:
    assert setting({"k": 4, "prior_correction": True, "f1": 0.5}) == (
        "k 4, prior correction yes, f1 0.500"
    )
