import math
from dataclasses import replace

import numpy as np
import pytest

from metier.core.types import Score
from metier.scoring.statistics.bootstrap import (
    Correction,
    Quantile,
    Sums,
    clusters_of,
    draw,
    draws,
    estimate,
    leave_one_out,
)
from metier.scoring.statistics.intervals import cluster_t, clustered_error
from metier.scoring.types import Resampling

# Efron and Tibshirani (1993), table 14.1, spatial test data, measurement A
SPATIAL = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6]
SPATIAL += [0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41]


def records(values, clusters=None):
    names = clusters or [""] * len(values)
    return [
        Score(f"e{i:04d}", float(v), cluster=c)
        for i, (v, c) in enumerate(zip(values, names, strict=True))
    ]


def variance(values):
    """The plug-in variance (divided by n), as a statistic."""
    cells = [c for i, v in enumerate(values) for c in ((i, 0, v), (i, 1, v * v), (i, 2, 1.0))]
    return Sums.of(
        records(values), cells, 3, lambda s: s[:, 1] / s[:, 2] - (s[:, 0] / s[:, 2]) ** 2
    )


def mean(values, clusters=None):
    cells = [c for i, v in enumerate(values) for c in ((i, 0, v), (i, 1, 1.0))]
    return Sums.of(records(values, clusters), cells, 2, lambda s: s[:, 0] / s[:, 1])


def test_bca_gives_the_published_interval():
    # table 14.2: value 171.5, 90% BCa (115.8, 259.6), percentile (100.8, 233.9); a = 0.061
    settings = Resampling(resamples=20_000, level=0.9)
    found = estimate(variance(SPATIAL), settings)
    assert found.value == pytest.approx(171.5, abs=0.05)
    assert found.low == pytest.approx(115.8, abs=4)
    assert found.high == pytest.approx(259.6, abs=6)
    plain = estimate(variance(SPATIAL), Resampling(20_000, level=0.9, method="percentile"))
    assert plain.low == pytest.approx(100.8, abs=4)
    assert plain.high == pytest.approx(233.9, abs=3)


def test_acceleration_is_the_published_one():
    statistic = variance(SPATIAL)
    values = np.asarray([150.0, 171.5, 190.0])
    correction = Correction.of(values, 171.5, leave_one_out(statistic))
    assert correction.skew == pytest.approx(0.061, abs=5e-4)


def test_the_p_value_inverts_the_interval():
    correction = Correction(bias=0.2, skew=0.05)
    for tail in (0.001, 0.025, 0.5, 0.9):
        assert correction.from_resample(correction.to_resample(tail)) == pytest.approx(tail)
    assert Correction().to_resample(0.025) == pytest.approx(0.025)


def test_leave_one_out_has_a_shortcut_that_agrees():
    statistic = mean([1.0, 2.0, 6.0], ["a", "a", "b"])
    assert leave_one_out(statistic).tolist() == [6.0, 1.5]
    slow = Quantile(("a", "b"), np.asarray([1.0, 2.0, 6.0]), np.asarray([0, 0, 1]), 0.5)
    assert leave_one_out(slow).tolist() == [6.0, 1.0]


def test_draws_are_whole_sets_of_clusters_and_repeat_under_a_seed():
    first = np.concatenate(list(draws(7, 7, Resampling(50, seed=3))))
    again = np.concatenate(list(draws(7, 7, Resampling(50, seed=3))))
    other = np.concatenate(list(draws(7, 7, Resampling(50, seed=4))))
    assert first.shape == (50, 7)
    assert (first.sum(axis=1) == 7).all()
    assert (first == again).all() and not (first == other).all()


def test_the_interval_does_not_depend_on_the_order_of_the_records():
    values, clusters = [0.1, 0.9, 0.4, 0.6, 0.2], list("abbca")
    there = records(values, clusters)
    cells = [c for i, v in enumerate(values) for c in ((i, 0, v), (i, 1, 1.0))]
    back = [c for i, v in enumerate(values[::-1]) for c in ((i, 0, v), (i, 1, 1.0))]
    ratio = lambda s: s[:, 0] / s[:, 1]  # noqa: E731
    one = estimate(Sums.of(there, cells, 2, ratio), Resampling(200))
    two = estimate(Sums.of(there[::-1], back, 2, ratio), Resampling(200))
    assert (one.low, one.high) == pytest.approx((two.low, two.high))


def test_whole_clusters_are_drawn():
    # ten copies of each value are no more evidence than one
    values = [0.0, 1.0, 0.2, 0.7, 0.4, 0.9, 0.1, 0.6]
    once = estimate(mean(values), Resampling(4000))
    names = [f"c{i}" for i in range(8) for _ in range(10)]
    copied = estimate(mean([v for v in values for _ in range(10)], names), Resampling(4000))
    apart = estimate(mean([v for v in values for _ in range(10)]), Resampling(4000))
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.1)
    assert apart.high - apart.low < 0.5 * (once.high - once.low)
    assert (copied.n, copied.clusters) == (80, 8)


def test_records_without_a_cluster_stand_alone():
    names, index = clusters_of(records([1, 2, 3], ["x", "", "x"]))
    assert names == ("item:e0001", "x")
    assert index.tolist() == [1, 0, 1]


def test_quantile_is_the_smallest_value_that_reaches_the_share():
    twenty = Quantile(
        tuple(f"{i:02d}" for i in range(20)), np.arange(1.0, 21.0), np.arange(20), 0.95
    )
    assert twenty.at(np.ones((1, 20))).tolist() == [19.0]
    only_last = np.zeros((1, 20))
    only_last[0, 19] = 3
    assert twenty.at(only_last).tolist() == [20.0]
    assert math.isnan(twenty.at(np.zeros((1, 20)))[0])


def test_nothing_to_measure_is_said_not_hidden():
    empty = Sums.of([], [], 2, lambda s: s[:, 0] / s[:, 1])
    found = estimate(empty, Resampling(10))
    assert math.isnan(found.value) and found.n == 0
    assert found.warnings[0] == "no items to measure"


def test_one_cluster_has_a_value_but_no_interval():
    found = estimate(mean([1.0, 0.0], ["p", "p"]), Resampling(10))
    assert found.value == 0.5 and math.isnan(found.low)
    assert any("one cluster" in warning for warning in found.warnings)


def test_small_samples_are_warned_of():
    few_items = estimate(mean([0.1 * i for i in range(50)]), Resampling(50))
    assert any("only 50 items" in warning for warning in few_items.warnings)
    assert not any("groups" in warning for warning in few_items.warnings)
    names = [f"c{i % 12}" for i in range(120)]
    few_groups = estimate(mean([0.1 * (i % 7) for i in range(120)], names), Resampling(50))
    assert few_groups.warnings == (
        "only 12 independent groups: with fewer than 30 the interval tends to be too narrow",
    )


def test_no_variation_is_not_certainty():
    perfect = estimate(mean([1.0] * 100), Resampling(50), (0.0, 1.0))
    assert perfect.high == 1.0
    assert perfect.low == pytest.approx(0.963, abs=1e-3)  # Wilson for 100 of 100
    middling = estimate(mean([0.5] * 100), Resampling(50), (0.0, 1.0))
    assert (middling.low, middling.high) == (0.5, 0.5)
    assert any("do not vary" in warning for warning in middling.warnings)


def test_resamples_where_it_is_undefined_are_counted():
    cells = [(0, 0, 1.0), (0, 1, 1.0), (1, 0, 0.0), (1, 1, 0.0), (2, 0, 0.5), (2, 1, 1.0)]
    often_empty = Sums.of(records([1, 0, 0.5]), cells, 2, lambda s: s[:, 0] / s[:, 1])
    found = estimate(often_empty, Resampling(2000))
    assert found.value == 0.75
    share = next(w for w in found.warnings if w.startswith("undefined in")).split()[2]
    assert float(share.rstrip("%")) == pytest.approx(100 / 27, abs=1.5)  # all three draws empty


def test_undefined_everywhere_has_words():
    never = Sums.of(records([1, 2]), [(0, 0, 1.0)], 2, lambda s: s[:, 0] / s[:, 1] * np.nan)
    found = estimate(never, Resampling(10))
    assert math.isnan(found.value) and found.warnings[0] == "undefined on these items"
    assert draw(never, 1.0, Resampling(10)).agree


def test_the_bootstrap_error_is_the_clustered_one_in_closed_form():
    rng = np.random.default_rng(2)
    names = [f"c{i}" for i in range(80) for _ in range(int(rng.integers(1, 6)))]
    trait = {name: rng.normal() for name in dict.fromkeys(names)}
    values = [trait[name] + 0.5 * rng.normal() for name in names]
    found = draw(mean(values, names), float(np.mean(values)), Resampling(4000, method="percentile"))
    assert found.values.std() == pytest.approx(clustered_error(values, names), rel=0.05)
    alone = clustered_error(values, [str(i) for i in range(len(values))])
    assert found.values.std() > 1.3 * alone


def test_the_t_interval_of_cluster_means_is_students():
    # Student (1908) again, each hour measured twice: the clusters are the ten patients
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    statistic = mean([h for h in hours for _ in "ab"], [f"p{i}" for i in range(10) for _ in "ab"])
    found = estimate(statistic, Resampling(method="t"))
    assert (found.low, found.high) == (
        pytest.approx(0.7001, abs=1e-4),
        pytest.approx(2.4599, abs=1e-4),
    )
    assert found.method == "cluster jackknife, t"
    assert (found.n, found.clusters) == (20, 10)


def test_the_t_interval_is_near_the_closed_form_where_clusters_differ_in_size():
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 9, 60)
    names = [f"c{i:02d}" for i, size in enumerate(sizes) for _ in range(size)]
    values = rng.random(len(names))
    found = estimate(mean(values, names), Resampling(method="t"))
    sums = [values[[name == f"c{i:02d}" for name in names]].sum() for i in range(60)]
    _, low, high = cluster_t(sums, sizes.tolist())
    assert found.high - found.low == pytest.approx(high - low, rel=0.05)


def test_a_known_bias_moves_the_interval():
    values = np.random.default_rng(3).random(200)
    plain = estimate(mean(values), Resampling(2000))
    moved = estimate(replace(mean(values), bias=-0.01), Resampling(2000))
    assert moved.value == plain.value
    assert moved.low - plain.low == pytest.approx(0.01, abs=2e-3)
    assert moved.high - plain.high == pytest.approx(0.01, abs=2e-3)


def test_an_interval_holds_the_value_and_stays_in_range():
    statistic = replace(mean([1.0] * 199 + [0.0]), bias=-0.1)
    found = estimate(statistic, Resampling(400), (0.0, 1.0))
    assert found.low <= found.value <= found.high == 1.0
