"""The pure parts of a sweep: ranges, rungs, halving, budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from metier.core.costs import Prices
from metier.core.errors import ConfigError, InputError
from metier.core.types import Estimate
from metier.tune.config import TuneConfig
from metier.tune.sweep import budget, rungs
from metier.tune.sweep.config import Around, LogRange, Money, SweepConfig, Time, Values
from metier.tune.sweep.halving import Measured, Piece, Trial, best, cut, losers, rank, todo
from metier.tune.sweep.planning import make_plan
from metier.tune.sweep.space import resolve, with_settings

TODAY = TuneConfig()


def measured(rung: int, value: float, share: float = 0.5, loss: float | None = None) -> Measured:
    estimate = Estimate(value, value - 0.1, value + 0.1, 50, 50)
    return Measured(rung, round(100 * share), 100, estimate, loss, f"eval_{value}", 6.0, 4.0)


def trials(*values: float) -> list[Trial]:
    return [
        Trial(i, 0, i, {"lr": i}, run=f"run_{i}", measured={0: measured(0, value)})
        for i, value in enumerate(values)
    ]


def plan(space: object, today: TuneConfig = TODAY, most: float = 8, **changes: object):  # type: ignore[no-untyped-def]
    config = SweepConfig.model_validate({"space": space, **changes})
    return make_plan(config, today, 2e-4, most)


def test_ranges_become_values() -> None:
    assert resolve(Values(values=[8, 64]), 8) == [8, 64]
    assert resolve(LogRange(low=1e-4, high=1e-2, points=3), 2e-4) == [1e-4, 1e-3, 1e-2]
    assert resolve(Around(factor=2, points=3), 2e-4) == [1e-4, 2e-4, 4e-4]
    assert resolve(Around(factor=4, points=3), 2) == [1, 2, 8]  # whole numbers stay above 0


def test_settings_are_checked_as_in_the_file() -> None:
    assert with_settings(TODAY, {"method.r": 64, "lr": 1e-3}).method.r == 64  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="lr = 3"):
        with_settings(TODAY, {"lr": 3})
    with pytest.raises(ConfigError, match="did you mean 'batch_tokens'"):
        with_settings(TODAY, {"batch_token": 3})
    full = TuneConfig.model_validate({"method": {"type": "full"}})
    with pytest.raises(ConfigError, match=r"method\.r"):
        with_settings(full, {"method.r": 3})


def test_short_names_and_what_cannot_be_swept() -> None:
    config = SweepConfig.model_validate({"space": {"rank": {"values": [8]}}})
    assert list(config.space) == ["method.r"]
    for space in ({"seed": {"values": [1]}}, {"r": {"values": [1]}, "rank": {"values": [2]}}):
        with pytest.raises(ValidationError):
            SweepConfig.model_validate({"space": space})


def shares(found: tuple[rungs.Rung, ...]) -> list[tuple[int, float]]:
    return [(one.trials, one.share) for one in found]


def test_rungs_cost_what_they_say() -> None:
    halving = rungs.plan(16, reduce=2, finalists=2, most_runs=4)
    assert shares(halving) == [(16, 1 / 16), (8, 1 / 8), (4, 1 / 4), (2, 1.0)]
    assert rungs.cost(halving) == pytest.approx(1 + 0.5 + 0.5 + 1.5)


def test_the_first_rung_is_as_long_and_the_cut_as_gentle_as_the_budget_allows() -> None:
    found = rungs.plan(16, finalists=2, most_runs=4)
    assert shares(found) == [(16, 1 / 8), (4, 1 / 4), (2, 1.0)]
    assert rungs.cost(found) == pytest.approx(4)
    assert shares(rungs.plan(16, most_runs=5))[:2] == [(16, 1 / 8), (8, 1 / 4)]
    with pytest.raises(InputError, match="at least"):
        rungs.plan(100, most_runs=2)


def test_as_many_finalists_as_trials_are_all_run_to_the_end() -> None:
    assert [(one.trials, one.share) for one in rungs.plan(3, finalists=3)] == [(3, 1.0)]


def test_settings_in_turn_begin_with_the_first_and_leave_out_todays() -> None:
    space = {"lr": {"values": [1e-4, 2e-4, 4e-4]}, "r": {"values": [4, 8, 16]}}
    found = plan(space)
    assert [one.setting for one in found.brackets] == ["lr", "method.r"]
    assert [dict(one) for one in found.brackets[1].tried or ()] == [
        {"method.r": 4}, {"method.r": 16},
    ]  # fmt: skip
    assert found.runs <= 8
    assert found.brackets[1].rungs[-1].trials == 1


def test_longer_runs_cost_more() -> None:
    found = plan({"epochs": {"values": [3.0, 6.0]}}, finalists=2)
    assert found.runs == pytest.approx(1 + 2)


def test_together_is_the_whole_grid_or_an_even_draw_from_it() -> None:
    space = {"lr": {"type": "log", "low": 1e-4, "high": 1e-2}, "r": {"values": [4, 8]}}
    drawn = plan(space, order="together", trials=8).brackets[0].tried or ()
    assert len(drawn) == 8
    assert [one["method.r"] for one in drawn].count(4) == 4
    rates = sorted(float(one["lr"]) for one in drawn)
    assert rates[0] < 2e-4
    assert rates[-1] > 5e-3
    space["lr"]["points"] = 4  # type: ignore[index]
    assert len(plan(space, order="together", trials=8).brackets[0].tried or ()) == 8


def test_later_brackets_are_left_to_optuna() -> None:
    space = {"lr": {"type": "log", "low": 1e-4, "high": 1e-2}}
    found = plan(space, order="together", trials=8, brackets=2)
    assert [one.tried is None for one in found.brackets] == [False, True]


def test_a_budget_of_trials_begins_no_more() -> None:
    space = {"lr": {"values": [1e-4, 2e-4, 4e-4]}, "r": {"values": [4, 8, 16]}}
    assert plan(space, budget={"type": "trials", "at_most": 4}).trials == 4


def test_a_budget_too_small_says_what_it_takes() -> None:
    with pytest.raises(InputError, match="at least"):
        plan({"lr": {"values": [1e-4, 2e-4]}, "r": {"values": [4, 16]}}, most=1)


RUNGS = (rungs.Rung(4, 0.25), rungs.Rung(2, 0.5), rungs.Rung(1, 1.0))


def test_a_rung_opens_when_the_one_before_is_whole() -> None:
    begun = trials(0.1, 0.4, 0.3)
    waiting = Trial(3, 0, 3, {"lr": 3})
    assert [(one.trial.number, one.rung) for one in todo([*begun, waiting], RUNGS)] == [(3, 0)]
    assert losers([*begun, waiting], RUNGS) == []
    whole = trials(0.1, 0.4, 0.3, 0.2)
    assert [(one.trial.number, one.rung) for one in todo(whole, RUNGS)] == [(1, 1), (2, 1)]
    assert [one.number for one in losers(whole, RUNGS)] == [0, 3]


def test_a_trial_that_failed_makes_way() -> None:
    begun = trials(0.1, 0.4, 0.3)
    failed = Trial(3, 0, 3, {"lr": 3}, failed="the loss ran away")
    assert [one.trial.number for one in todo([*begun, failed], RUNGS)] == [1, 2]


def test_equal_values_go_by_loss_and_where_less_is_better_the_order_turns() -> None:
    found = trials(0.5, 0.5)
    low = replace(found[1], measured={0: measured(0, 0.5, loss=1.0)})
    high = replace(found[0], measured={0: measured(0, 0.5, loss=2.0)})
    assert [one.number for one in rank([high, low], 0)] == [1, 0]
    assert [one.number for one in rank(trials(0.1, 0.4), 0, higher=False)] == [0, 1]
    assert [one.number for one in rank(trials(float("nan"), 0.4), 0)] == [1, 0]


def test_what_the_metric_does_not_tell_apart_goes_by_the_loss() -> None:
    """Intervals reach 0.1 to both sides: 0.9 is clear of the rest, 0.1 is clearly out."""
    worth = {0: (0.50, 3.0), 1: (0.45, 1.0), 2: (0.40, 2.0), 3: (0.90, 9.0), 4: (0.10, 0.1)}
    found = [
        replace(one, measured={0: measured(0, value, loss=loss)})
        for one, (value, loss) in zip(trials(*range(5)), worth.values(), strict=True)
    ]
    assert [one.number for one in cut(found, 0, 2)] == [3, 1]
    assert [one.number for one in cut(found, 0, 3)] == [3, 1, 2]
    without = [replace(one, measured={0: measured(0, worth[one.number][0])}) for one in found]
    assert [one.number for one in cut(without, 0, 3)] == [3, 0, 1]


def test_the_best_is_looked_for_among_those_trained_furthest() -> None:
    short = Trial(0, 0, 0, {}, measured={0: measured(0, 0.9, share=0.25)})
    long = Trial(1, 0, 1, {}, measured={0: measured(0, 0.5), 2: measured(2, 0.6, share=1.0)})
    assert best([short, long]) is long
    assert best([Trial(0, 0, 0, {})]) is None


def test_time_and_money_are_watched() -> None:
    rate = budget.usd_per_s(Prices(usd_per_cpu_hour=3.6), "cpu")
    begun = trials(0.1, 0.4)  # 20 s for two halves of a run
    spent = budget.spent(begun, rate)
    assert (spent.runs, spent.seconds, spent.usd) == (1.0, 20.0, pytest.approx(0.02))
    piece = Piece(begun[0], 1, 1.0)  # half a run more: 6 s, and 4 s to measure it
    assert budget.expected_s(begun, piece, None) == pytest.approx(10.0)
    assert budget.refusal(Time(hours=31 / 3600), begun, piece, rate, None) is None
    assert "hours" in str(budget.refusal(Time(hours=29 / 3600), begun, piece, rate, None))
    assert "$0.02" in str(budget.refusal(Money(usd=0.029), begun, piece, rate, None))
    assert budget.most_runs(Time(hours=1), rate, 600.0) == pytest.approx(6.0)
