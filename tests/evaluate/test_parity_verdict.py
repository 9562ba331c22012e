"""What is said of an exported form: missed, reached, or not to be told from so few replies."""

from __future__ import annotations

import math

import pytest

from metier.core.types import Estimate
from metier.evaluate.parity_config import ParityBar, ParityConfig
from metier.evaluate.parity_verdict import replies_needed, verdict_of
from metier.scoring.statistics.intervals import wilson

EIGHT = ParityConfig().eight_bit


def share(right: int, n: int) -> Estimate:
    low, high = wilson(right, n)
    return Estimate(right / n, low, high, n, n)


@pytest.mark.parametrize(
    ("right", "n", "failed", "unsettled"),
    [
        (11, 13, 0, 1),  # 0.846 [0.58, 0.96]: says nothing of 0.85
        (200, 200, 0, 0),
        (13, 13, 0, 1),
        (5, 13, 1, 0),
        (170, 200, 0, 1),
        (150, 200, 1, 0),
    ],
)
def test_a_share_of_a_lossy_form_is_judged_by_its_interval(
    right: int, n: int, failed: int, unsettled: int
) -> None:
    found = verdict_of(EIGHT, None, 0.01, share(right, n), None)
    assert (len(found.failed), len(found.unsettled)) == (failed, unsettled)


def test_the_replies_that_would_settle_it_do() -> None:
    for seen, bar in ((0.9, 0.85), (1.0, 0.85), (0.8, 0.85), (0.99, 0.95)):
        n = replies_needed(seen, bar)
        assert n is not None
        low, high = wilson(seen * n, n)
        assert low >= bar or high < bar
        low, high = wilson(seen * (n - 1), n - 1)
        assert low < bar <= high
    assert replies_needed(0.85, 0.85) is None
    (words,) = verdict_of(EIGHT, None, None, share(13, 13), None).unsettled
    assert f"{(replies_needed(1.0, 0.85) or 0) - 13} more replies needed" in words


def test_an_exact_form_misses_with_one_reply() -> None:
    exact = ParityConfig().exact
    assert verdict_of(exact, 0.0, 0.0, share(99, 100), None).failed
    assert not verdict_of(exact, 0.0, 0.0, share(5, 5), None).failed
    assert verdict_of(exact, math.nan, 0.0, share(5, 5), None).failed


def test_a_fall_of_the_metric_that_may_be_chance_is_unsettled() -> None:
    same = share(200, 200)
    rough, sure = Estimate(-0.03, -0.07, 0.01, 200, 200), Estimate(-0.05, -0.07, -0.03, 200, 200)
    assert verdict_of(EIGHT, None, None, same, rough).unsettled
    assert verdict_of(EIGHT, None, None, same, sure).failed
    assert verdict_of(ParityBar(), None, None, same, rough).failed
