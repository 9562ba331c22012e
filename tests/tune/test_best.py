from __future__ import annotations

import math
from typing import Any

import pytest

from metier.tune.loop.best import By, is_best, since_best, validations


def seen(step: int, loss: float, value: float = math.nan, error: float = 0.0) -> dict[str, Any]:
    ends = {"eval_f1_low": value - 1.96 * error, "eval_f1_high": value + 1.96 * error}
    return {"step": step, "eval_loss": loss, "eval_f1": value, **ends}


F1 = By("f1")


def test_by_loss_the_lowest_is_the_best_and_an_equal_one_is_not_new() -> None:
    history = [{"loss": 3.0, "step": 1}, seen(2, 1.0), seen(4, 0.5), seen(6, 0.5)]
    assert By().best(history) == 1
    assert since_best(history, By()) == 1
    assert not is_best(history, By())
    assert is_best(history[:3], By())


def test_what_was_measured_before_the_first_step_is_not_among_them() -> None:
    assert [one["step"] for one in validations([seen(0, 0.1), seen(2, 1.0)])] == [2]


def test_a_better_metric_wins_against_a_lower_loss() -> None:
    assert F1.best([seen(2, 0.5, 0.6, 0.02), seen(4, 0.9, 0.8, 0.02)]) == 1
    assert F1.best([seen(2, 0.9, 0.8, 0.02), seen(4, 0.5, 0.6, 0.02)]) == 0


def test_within_a_standard_error_the_lower_loss_wins() -> None:
    assert F1.best([seen(2, 0.5, 0.79, 0.05), seen(4, 0.9, 0.8, 0.05)]) == 0
    assert F1.best([seen(2, 0.9, 0.8, 0.05), seen(4, 0.5, 0.79, 0.05)]) == 1


def test_ties_do_not_drift_away_from_the_highest_value() -> None:
    falling = [seen(2 * at, 1.0 - 0.1 * at, 0.80 - 0.04 * at, 0.05) for at in range(1, 6)]
    best = F1.best(falling)
    assert best is not None
    assert falling[best]["eval_f1"] >= falling[0]["eval_f1"] - 0.05


def test_lower_may_be_better_and_an_undefined_metric_never_wins() -> None:
    lower = By("f1", higher_is_better=False)
    assert lower.best([seen(2, 0.5, 0.6), seen(4, 0.9, 0.4)]) == 1
    assert F1.best([seen(2, 0.9, 0.1), seen(4, 0.5)]) == 0
    assert F1.best([seen(2, 0.9), seen(4, 0.5)]) == 1


@pytest.mark.parametrize("by", [By(), F1])
def test_nothing_validated_nothing_best(by: By) -> None:
    assert by.best([{"loss": 1.0, "step": 1}]) is None
    assert since_best([], by) == 0
    assert not is_best([], by)
