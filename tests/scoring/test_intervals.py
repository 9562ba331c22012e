import math

import pytest

from metier.scoring.statistics.intervals import (
    binomial_cdf,
    cluster_t,
    clustered_error,
    effective_n,
    mcnemar,
    t_quantile,
    wilson,
    z_of,
)


# Newcombe (1998), Statistics in Medicine 17, table I, method 3 (score, no continuity correction).
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    assert wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_is_symmetric_and_touches_the_ends_only_there():
    low, high = wilson(20, 20)
    assert high == 1.0
    assert low == pytest.approx(1 - wilson(0, 20)[1])
    assert wilson(19, 20)[1] < 1.0


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes <= n"):
        wilson(successes, n)


def test_z_of_refuses_a_level_in_percent():
    assert z_of(0.95) == pytest.approx(1.959964, abs=1e-6)
    with pytest.raises(ValueError, match="between 0 and 1"):
        z_of(95)


def test_t_quantile_is_the_tabled_one():
    assert t_quantile(0.95, 9) == pytest.approx(2.262, abs=5e-4)


def test_cluster_t_of_single_items_is_students_interval():
    # Student (1908), extra hours of sleep; R's t.test gives 0.7001 to 2.4599
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    mean, low, high = cluster_t(hours, [1] * 10)
    assert mean == pytest.approx(1.58)
    assert (low, high) == (pytest.approx(0.7001, abs=1e-4), pytest.approx(2.4599, abs=1e-4))


def test_cluster_t_does_not_narrow_when_items_are_copied():
    values = [0.2, 0.9, 0.4, 0.7, 0.5]
    once = cluster_t(values, [1] * 5)
    copied = cluster_t([v * 10 for v in values], [10] * 5)
    assert copied == pytest.approx(once)


def test_cluster_t_of_one_cluster_has_no_interval():
    mean, low, high = cluster_t([3.0], [4])
    assert mean == 0.75
    assert math.isnan(low) and math.isnan(high)


def test_effective_n_of_independent_items_is_their_number():
    assert effective_n([1, 0, 1], [1, 1, 1]) == 3


def test_effective_n_of_copied_items_is_about_the_number_of_clusters():
    sums = [4.0 if i % 3 else 0.0 for i in range(60)]
    worth = effective_n(sums, [4.0] * 60)
    assert 55 < worth < 61


def test_effective_n_counts_clusters_where_nothing_varies():
    assert effective_n([5, 5, 5], [5, 5, 5]) == 3
    assert effective_n([5], [5]) == 1


def test_effective_n_is_never_more_than_the_items():
    balanced = effective_n([1.0] * 50, [2.0] * 50)  # every cluster has one right, one wrong
    assert balanced <= 100


def test_mcnemar_is_the_exact_sign_test():
    assert mcnemar(1, 8) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(0, 6) == pytest.approx(2 / 2**6)
    assert mcnemar(8, 1) == mcnemar(1, 8)


def test_mcnemar_without_disagreement_shows_nothing():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 3)


def test_binomial_cdf_against_the_sum():
    by_hand = sum(math.comb(10, k) * 0.3**k * 0.7 ** (10 - k) for k in range(4))
    assert binomial_cdf(3, 10, 0.3) == pytest.approx(by_hand)
    assert binomial_cdf(-1, 10, 0.3) == 0.0
    assert binomial_cdf(10, 10, 0.3) == 1.0


def test_mid_p_is_the_published_one():
    # Fagerland, Lydersen, Laake (2013), table 2: 1 against 7 discordant pairs of airway
    # hyper-responsiveness; exact 0.070, mid-p 0.039
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(1, 7, mid_p=True) == pytest.approx(0.0391, abs=5e-5)
    assert mcnemar(0, 0, mid_p=True) == mcnemar(4, 4) == 1.0


def test_clustered_error_is_the_formula_written_out():
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.5]
    clusters = ["a", "a", "b", "b", "b", "c"]
    mean = sum(values) / 6
    pairs = [
        (values[i] - mean) * (values[j] - mean)
        for i in range(6)
        for j in range(6)
        if i != j and clusters[i] == clusters[j]
    ]
    squares = sum((value - mean) ** 2 for value in values)
    found = clustered_error(values, clusters)
    assert found == pytest.approx(math.sqrt((squares + sum(pairs)) / 36))
    _, low, high = cluster_t([1.0, 2.0, 0.5], [2, 3, 1])
    factor = math.sqrt(3 / 2) * t_quantile(0.95, 2)
    assert (high - low) / 2 == pytest.approx(found * factor)


def test_clustered_error_of_single_items_is_the_central_limit_one():
    values = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = clustered_error(values, [str(i) for i in range(10)])
    assert found == pytest.approx(1.2300 * math.sqrt(9 / 10) / math.sqrt(10), abs=1e-4)
    with pytest.raises(ValueError, match="one cluster per value"):
        clustered_error(values, ["a"])
