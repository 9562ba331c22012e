"""The budget of looks: what each costs, what is left, and that peeking does not pay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluate_fakes import paired, report, target
from metier.core.objective import Objective
from metier.core.types import Estimate
from metier.scoring.goals.looks import at_level, look_level, looks_words, new_items
from metier.scoring.goals.targets import TargetResult, judge
from metier.scoring.statistics.intervals import percent, widened
from metier.scoring.statistics.power import items_for_proportion, observed_for_proportion
from metier.scoring.types import Resampling

F1 = target(metric="f1_macro", at_least=0.85)


def judged(
    interval: tuple[float, float, float] = (0.90, 0.86, 0.93), level: float | None = 0.99
) -> TargetResult:
    objective = Objective(task="classify", target=[F1])
    candidate = report("tuned", {"f1_macro": interval})
    return judge(objective, candidate, [candidate], paired(0, 0, 0), level=level)[0]


def test_five_looks_are_judged_at_99_percent() -> None:
    assert look_level(5) == pytest.approx(0.99)
    assert [percent(look_level(budget)) for budget in (1, 3, 5)] == ["95%", "98.33%", "99%"]


def test_what_is_left_is_said() -> None:
    assert looks_words(2, 5) == "2 of 5 looks at the test set used, 3 left"
    assert "none left: new test items are needed" in looks_words(6, 5)


def test_thin_tails_get_more_resamples() -> None:
    assert at_level(Resampling(2000), 0.99).resamples == 5000
    assert at_level(Resampling(2000), 0.95).resamples == 2000
    assert at_level(Resampling(200, seed=3), 0.99).seed == 3


def test_an_estimate_widens_by_the_normal_quantiles() -> None:
    found = widened(Estimate(0.5, 0.4, 0.7, 100, 100, method="Wilson"), 0.99)
    assert (found.low, found.high) == (
        pytest.approx(0.3686, abs=1e-4),
        pytest.approx(0.7628, abs=1e-4),
    )
    assert (found.level, found.method) == (0.99, "Wilson, widened from 0.95")


def test_a_look_is_judged_on_a_wider_interval_than_is_shown() -> None:
    alone, looked = judged(level=None), judged()
    assert alone.state == "passed"
    assert looked.state == "not_enough_data"
    assert looked.measured == alone.measured and looked.measured is not None
    assert looked.deciding is not None and looked.deciding.low < 0.85 < looked.measured.low
    assert "lies within the 99% interval [0.847, 0.939]" in looked.words
    assert looked.more_items is not None and looked.more_items > 0


def test_an_estimate_made_again_decides() -> None:
    again = Estimate(0.90, 0.851, 0.94, 400, 400, 0.99)
    pair = paired(0, 0, 0)
    pair.single = lambda target, report, level: replace(again, level=level)
    candidate = report("tuned", {"f1_macro": (0.90, 0.86, 0.93)})
    objective = Objective(task="classify", target=[F1])
    (found,) = judge(objective, candidate, [], pair, level=0.99)
    assert (found.state, found.deciding) == ("passed", again)
    assert found.words == "passed: the whole 99% interval [0.851, 0.940] is on the good side"


def test_new_items_show_what_was_observed_with_power() -> None:
    passed = judged((0.95, 0.93, 0.97))
    assert new_items([passed]) == 100  # 49 would do, but fewer than 100 are never asked for
    near = judged((0.86, 0.82, 0.90))
    # 0.01 from the bound counts as 0.05: 400 ((2.576 + 0.842) / 2.576 * 0.0526 / 0.05)^2
    assert new_items([near, passed]) == pytest.approx(779, abs=2)
    assert new_items([]) == 100


def passes(right: np.ndarray, level: float, bound: float) -> np.ndarray:
    """Whether Wilson's lower end reaches the bound, for answers [..., items]."""
    n = right.shape[-1]
    least = observed_for_proportion(bound, n, level=level)
    assert least is not None
    return right.mean(axis=-1) >= least - 1e-12


def peeks(rng: np.random.Generator, looks: int, n: int, bound: float, kept: float) -> np.ndarray:
    """Answers [looks, n] of candidates that are truly on the bound.

    Each keeps a share of the answers of the best one so far: what it got right by luck on these
    items, which no new item repeats.
    """
    answers = [rng.random(n) < bound]
    for _ in range(looks - 1):
        best = max(answers, key=np.mean)
        answers.append(np.where(rng.random(n) < kept, best, rng.random(n) < bound))
    return np.stack(answers)


def false_passes(sets: int, kept: float, level: float, looks: int = 5) -> float:
    rng = np.random.default_rng([19, int(kept * 10)])
    found = (peeks(rng, looks, 400, 0.85, kept) for _ in range(sets))
    return float(np.mean([passes(one, level, 0.85).any() for one in found]))


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_peeking_does_not_pass_what_is_no_better_than_the_bound(kept: float) -> None:
    assert false_passes(1000, kept, look_level(5)) <= 0.05


def test_without_the_budget_it_would() -> None:
    assert false_passes(1000, 0.5, 0.95) > 0.10


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.8, 0.9])
def test_peeking_does_not_pay_at_full_size(kept: float) -> None:
    assert false_passes(20_000, kept, look_level(5)) <= 0.05


@pytest.mark.parametrize("looks", [1, 5])
def test_the_gate_with_looks_has_the_promised_power(looks: int) -> None:
    level = look_level(looks)
    n = items_for_proportion(0.85, 0.90, level=level)
    right = np.random.default_rng(5).random((2000, n)) < 0.90
    assert 0.77 <= passes(right, level, 0.85).mean() <= 0.85
