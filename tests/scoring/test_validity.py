import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from metier.core.errors import InputError
from metier.core.types import Score
from metier.scoring import Resampling
from metier.scoring.statistics.validity import Correlation, correlation, midranks

FAST = Resampling(300)


def records(n, cluster=None):
    return [Score(f"ex{i}", None, cluster=cluster(i) if cluster else "") for i in range(n)]


def sample(n, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n)
    return values, np.clip(np.round(values + noise * rng.normal(size=n) + 3), 1, 5)


def test_equal_to_the_library_with_ties():
    values, ratings = sample(60)
    values = np.round(values, 1)
    assert correlation(values, ratings, records(60), resampling=FAST).value == pytest.approx(
        spearmanr(values, ratings).statistic
    )
    linear = correlation(values, ratings, records(60), ranked=False, resampling=FAST)
    assert linear.value == pytest.approx(pearsonr(values, ratings).statistic)


def test_a_resample_is_ranked_anew():
    values, ratings = sample(30)
    counts = np.random.default_rng(1).integers(0, 3, size=(4, 30)).astype(float)
    names = tuple(str(i) for i in range(30))
    found = Correlation(names, values, ratings, np.arange(30), True).at(counts)
    for weights, one in zip(counts.astype(int), found, strict=True):
        expected = spearmanr(np.repeat(values, weights), np.repeat(ratings, weights)).statistic
        assert one == pytest.approx(expected)


def test_midranks_by_hand():
    found = midranks(np.array([3.0, 1.0, 3.0]), np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 0.0]]))
    assert found.tolist() == [[2.5, 1.0, 2.5], [3.0, 1.5, 3.0]]


def test_the_interval_holds_the_value_and_widens_with_clusters():
    values, ratings = sample(120)
    apart = correlation(values, ratings, records(120), resampling=FAST)
    assert apart.low < apart.value < apart.high and apart.clusters == 120
    # each reply six times: as much is known as of 20 replies
    many = [np.repeat(column[:20], 6) for column in (values, ratings)]
    whole = correlation(*many, records(120, lambda i: f"c{i // 6}"), resampling=FAST)
    naive = correlation(*many, records(120), resampling=FAST)
    assert whole.clusters == 20
    assert whole.high - whole.low > 1.5 * (naive.high - naive.low)


def test_no_agreement_has_a_lower_bound_under_any_minimum():
    rng = np.random.default_rng(3)
    found = correlation(rng.normal(size=80), rng.normal(size=80), records(80), resampling=FAST)
    assert found.low < 0.3


def test_a_flat_column_has_no_correlation():
    found = correlation([1.0] * 30, list(range(30)), records(30), resampling=FAST)
    assert math.isnan(found.value)
    assert "the metric gave every reply the same value" in found.warnings


def test_too_few_replies_are_refused():
    with pytest.raises(InputError, match="at least 20 rated replies"):
        correlation([1.0, 2.0], [1.0, 2.0], records(2))
