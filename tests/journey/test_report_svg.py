"""The report's drawings hold the values, escape the words, and refer to nothing outside."""

from __future__ import annotations

import math
import re

import pytest

from metier.core.types import Estimate
from metier.journey.report.svg import (
    heat_map,
    interval_bar,
    interval_dot,
    line_plot,
    nice_bounds,
    share_bar,
)

HALF = Estimate(0.5, 0.4, 0.6, n=100, clusters=100)


def test_a_bar_ends_at_the_value_and_its_whisker_at_the_interval() -> None:
    drawn = interval_bar(HALF, (0.0, 1.0), "candidate", goal=0.8)
    assert 'class="bar candidate"' in drawn
    assert '<rect class="fill" x="0" y="4" width="500.0"' in drawn
    assert '<line class="whisker" x1="400.0" y1="10" x2="600.0" y2="10"/>' in drawn
    assert '<line class="goal" x1="800.0"' in drawn


def test_no_interval_draws_no_whisker() -> None:
    alone = Estimate(0.5, math.nan, math.nan, n=1, clusters=1)
    assert "whisker" not in interval_bar(alone, (0.0, 1.0))
    assert "fill" not in interval_bar(Estimate(math.nan, 0, 1, n=0, clusters=0), (0.0, 1.0))


def test_a_difference_is_drawn_with_the_line_of_no_difference() -> None:
    drawn = interval_dot(HALF, (-1.0, 1.0), "good")
    assert '<line class="zero" x1="500.0"' in drawn
    assert '<line class="dot" x1="750.0"' in drawn
    assert "zero" not in interval_dot(HALF, (0.1, 1.0))


def test_values_outside_the_bounds_stay_in_the_box() -> None:
    assert 'width="1000.0"' in share_bar(7.0)
    assert 'width="0.0"' in share_bar(-1.0)


def test_a_line_plot_draws_each_series_from_left_to_right() -> None:
    drawn = line_plot({"train": [(0, 0.0), (10, 1.0)], "validation": [(5, 0.5)]}, (0.0, 1.0))
    assert '<polyline class="series-0" points="0.0,300.0 1000.0,0.0"/>' in drawn
    assert '<polyline class="series-1" points="500.0,150.0 520.0,150.0"/>' in drawn


def test_a_line_plot_leaves_out_what_is_not_a_number() -> None:
    drawn = line_plot({"loss": [(0, 1.0), (1, math.nan), (2, 0.0)]}, (0.0, 1.0))
    assert "nan" not in drawn
    assert line_plot({}, (0.0, 1.0)).startswith("<svg")


def test_a_heat_map_draws_only_what_is_there_with_words_for_each_cell() -> None:
    drawn = heat_map(("a", "b"), ("a", "b", "no answer"), ((3, 1, 0), (0, 0, 2)), "Confusion")
    assert drawn.count("<rect") == 1 + 3
    assert "<title>expected a, got b: 1 of 4</title>" in drawn
    assert "<title>expected b, got no answer: 2 of 2</title>" in drawn
    assert 'class="hit"' in drawn and 'class="miss"' in drawn


def test_a_heat_map_of_77_classes_stays_small_and_readable() -> None:
    labels = tuple(f"class {i}" for i in range(77))
    counts = tuple(tuple(int(i == j) * 13 for j in range(78)) for i in range(77))
    drawn = heat_map(labels, (*labels, "no answer"), counts, "Confusion")
    assert len(drawn) < 60_000
    width = re.search(r'width="(\d+)" height', drawn)
    assert width is not None and int(width[1]) < 1100


def test_words_are_escaped() -> None:
    drawn = heat_map(("<b>&",), ("<b>&", "no answer"), ((1, 0),), "<script>")
    assert "<b>" not in drawn and "<script>" not in drawn
    assert "&lt;b&gt;&amp;" in drawn


@pytest.mark.parametrize(
    "drawn",
    [
        interval_bar(HALF, (0, 1)),
        interval_dot(HALF, (0, 1)),
        share_bar(0.5),
        line_plot({"a": [(0, 1.0)]}, (0, 1)),
        heat_map(("a",), ("a", "no answer"), ((1, 0),), "t"),
    ],
)
def test_drawings_refer_to_nothing_outside(drawn: str) -> None:
    assert not re.search(r"https?:|href|url\(|<image|<script|style=", drawn)


def test_bounds_hold_all_values_and_are_never_of_zero_width() -> None:
    assert nice_bounds([1.0, 3.0]) == pytest.approx((0.9, 3.1))
    assert nice_bounds([0.0, 2.0], within=(0.0, None)) == pytest.approx((0.0, 2.1))
    low, high = nice_bounds([0.0])
    assert low < 0 < high
    assert nice_bounds([math.nan]) == (0.0, 1.0)
