import math

import pytest

from metier.core.types import Estimate
from metier.scoring.statistics.intervals import binomial_cdf, wilson
from metier.scoring.statistics.power import (
    detectable,
    detectable_mean,
    detectable_paired,
    detectable_proportion,
    effective_items,
    expert_hours,
    independent_discordance,
    items_for_mean,
    items_for_paired,
    items_for_proportion,
    observed_for_mean,
    observed_for_proportion,
)


def test_items_for_a_proportion_by_hand():
    # ((1.959964 sqrt(.85 .15) + 0.841621 sqrt(.9 .1)) / .05)^2 = 362.7
    assert items_for_proportion(0.85, 0.9) == 363
    assert items_for_proportion(0.85, 0.9, power=0.9) > 363
    assert items_for_proportion(0.15, 0.1) == 363  # an upper bound mirrors a lower one


@pytest.mark.parametrize(("target", "assumed"), [(0.85, 0.9), (0.7, 0.75), (0.5, 0.6), (0.9, 0.97)])
def test_the_planned_items_give_the_planned_power(target, assumed):
    # exactly: the chance that Wilson's lower end reaches the target, over the binomial
    n = items_for_proportion(target, assumed)
    least = next(k for k in range(n + 1) if wilson(k, n)[0] >= target)
    passes = 1 - binomial_cdf(least - 1, n, assumed)
    assert passes == pytest.approx(0.8, abs=0.04)  # counts are whole numbers


def test_observed_value_that_just_passes():
    for n in (50, 300, 1000):
        observed = observed_for_proportion(0.85, n)
        k = round(observed * n)
        assert wilson(k, n)[0] >= 0.85 > wilson(k - 1, n)[0]
    # the score test's closed form: p0 + z sqrt(p0 q0 / n)
    closed = 0.85 + 1.959964 * math.sqrt(0.85 * 0.15 / 1000)
    assert observed_for_proportion(0.85, 1000) == pytest.approx(closed, abs=1 / 1000)


def test_an_upper_bound_mirrors_a_lower_one():
    observed = observed_for_proportion(0.1, 400, at_least=False)
    k = round(observed * 400)
    assert wilson(k, 400)[1] <= 0.1 < wilson(k + 1, 400)[1]


def test_too_few_items_for_any_value():
    assert observed_for_proportion(0.95, 30) is None  # even 30 of 30 reach 0.886 only
    assert observed_for_proportion(0.05, 30, at_least=False) is None
    assert detectable_proportion(0.95, 30) is None


def test_items_for_a_mean_is_the_textbook_formula():
    # Cohen-style: (1.96 + 0.8416)^2 / 0.5^2 = 31.4 for half a standard deviation
    assert items_for_mean(0.0, 0.5, 1.0) == 32
    assert detectable_mean(1.0, 32) == pytest.approx(0.5, abs=0.01)
    assert observed_for_mean(0.4, 100, 0.3) == pytest.approx(0.4 + 1.96 * 0.03, abs=1e-4)
    assert observed_for_mean(5.0, 100, 2.0, at_least=False) == pytest.approx(4.608, abs=1e-3)


def test_detectable_change_inverts_the_items():
    gain = detectable_proportion(0.85, 363)
    assert gain == pytest.approx(0.05, abs=2e-4)
    gap = detectable_paired(0.2, items_for_paired(0.06, 0.2))
    assert gap == pytest.approx(0.06, abs=2e-4)
    assert detectable_paired(0.2, 5) is None


def test_items_for_a_paired_difference_by_hand():
    # Connor (1987): (1.959964 sqrt(.2) + .841621 sqrt(.2 - .01))^2 / .1^2 = 154.6
    assert items_for_paired(0.1, 0.2) == 155
    assert items_for_paired(-0.1, 0.2) == 155
    assert independent_discordance(0.9, 0.8) == pytest.approx(0.26)


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: items_for_proportion(0.8, 0.8),
        lambda: items_for_proportion(0.8, 1.2),
        lambda: items_for_mean(1.0, 2.0, 0.0),
        lambda: items_for_paired(0.3, 0.2),
    ],
)
def test_what_cannot_be_planned_is_refused(impossible):
    with pytest.raises(ValueError, match="need"):
        impossible()


def test_unequal_classes_are_worth_less():
    assert effective_items([50, 50, 50]) == pytest.approx(150)
    assert effective_items([100, 10]) == pytest.approx(4 / (1 / 100 + 1 / 10))
    assert effective_items([10, 0]) == pytest.approx(10)
    assert effective_items([]) == 0


def test_hours_by_hand():
    assert expert_hours(360, 2, 30) == pytest.approx(6.0)


def test_what_an_interval_could_have_shown():
    # an arm of 0.04 is 1.96 errors; at 80% power 2.80 of them are seen
    assert detectable(Estimate(0.87, 0.83, 0.91, 400, 400)) == pytest.approx(0.0572, abs=1e-4)
    assert detectable_mean(0.4, 400) == pytest.approx(
        detectable(Estimate(0.5, 0.5 - 0.0392, 0.5 + 0.0392, 400, 400)), abs=1e-4
    )
    assert detectable(Estimate(0.87, math.nan, math.nan, 8, 1)) is None
    assert detectable(Estimate(1.0, 1.0, 1.0, 8, 8)) is None
