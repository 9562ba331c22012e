"""The statistics check themselves: intervals cover, and equal systems seldom differ.

Each test draws many test sets from a world whose true value is known.
"""

import numpy as np
import pytest

from metier.core.types import Score
from metier.scoring import Resampling, make_metric, paired_difference, permutation_test


class World:
    """Classes of unequal size, a recall per class, mistakes spread over the others."""

    def __init__(self, labels, accuracy, seed=0):
        rng = np.random.default_rng(seed)
        share = rng.dirichlet(np.full(labels, 3.0)) + 0.3 / labels
        recall = np.clip(rng.normal(accuracy, 0.08, labels), 0.3, 0.97)
        wrong = rng.random((labels, labels)) + 0.1
        np.fill_diagonal(wrong, 0)
        table = wrong / wrong.sum(axis=1, keepdims=True) * (1 - recall)[:, None] + np.diag(recall)
        self.joint = (share / share.sum())[:, None] * table
        self.labels = labels

    def draw(self, rng, n):
        flat = rng.choice(self.labels**2, size=n, p=self.joint.ravel())
        return [
            Score(f"e{i}", None, f"c{cell // self.labels}", f"c{cell % self.labels}")
            for i, cell in enumerate(flat)
        ]

    def truth(self, name):
        right, rows, columns = np.diag(self.joint), self.joint.sum(axis=1), self.joint.sum(axis=0)
        f1 = 2 * right / (rows + columns)
        return {"accuracy": right.sum(), "f1_macro": f1.mean(), "f1_weighted": f1 @ rows}[name]


def coverage(name, world, n, sets, resamples=400):
    truth = world.truth(name)
    hits = 0
    for seed in range(sets):
        records = world.draw(np.random.default_rng([7, seed]), n)
        found = make_metric(name)(records, Resampling(resamples, seed=seed))
        hits += found.low <= truth <= found.high
    return hits / sets


@pytest.mark.parametrize(
    ("name", "labels", "n"),
    [("accuracy", 4, 120), ("f1_macro", 4, 200), ("f1_macro", 12, 300), ("f1_weighted", 5, 200)],
)
def test_intervals_cover(name, labels, n):
    # 150 sets: the standard error of the coverage is 1.8 points
    assert 0.90 <= coverage(name, World(labels, 0.85), n, 150) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "labels", "n"),
    [
        ("accuracy", 4, 100),
        ("accuracy", 4, 500),
        ("f1_macro", 4, 200),
        ("f1_macro", 12, 400),
        ("f1_macro", 25, 800),
        ("f1_weighted", 5, 200),
    ],
)
def test_intervals_cover_at_full_size(name, labels, n):
    assert 0.93 <= coverage(name, World(labels, 0.85), n, 800, 1000) <= 0.97


def clustered(rng, clusters):
    """Items of one cluster share a trait that makes them easier or harder."""
    records, true_value = [], 0.7
    for cluster in range(clusters):
        easy = rng.beta(true_value * 4, (1 - true_value) * 4)
        for item in range(int(rng.integers(1, 9))):
            right = "yes" if rng.random() < easy else "no"
            records.append(Score(f"e{cluster}-{item}", None, "yes", right, cluster=f"c{cluster}"))
    return records, true_value


def clustered_coverage(sets, clusters, by_cluster=True):
    hits = 0
    for seed in range(sets):
        records, truth = clustered(np.random.default_rng([11, seed]), clusters)
        if not by_cluster:
            records = [Score(r.example_id, None, r.expected, r.got) for r in records]
        found = make_metric("accuracy")(records)
        hits += found.low <= truth <= found.high
    return hits / sets


def test_clusters_are_what_makes_the_interval_honest():
    assert 0.92 <= clustered_coverage(400, 60) <= 0.98
    assert clustered_coverage(400, 60, by_cluster=False) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [30, 60, 150])
def test_clustered_intervals_cover_at_full_size(clusters):
    assert 0.93 <= clustered_coverage(2000, clusters) <= 0.97


def equal_pair(rng, n, labels=5):
    """Two systems equally good on every item, whose mistakes partly agree."""
    first, second = [], []
    for i in range(n):
        wanted = int(rng.integers(labels))
        hard = rng.random() < 0.4
        for side in (first, second):
            right = rng.random() < (0.5 if hard else 0.95)
            got = wanted if right else int(rng.integers(labels))
            side.append(Score(f"e{i:04d}", None, f"c{wanted}", f"c{got}"))
    return first, second


def false_alarms(sets, n, test):
    alarms = 0
    for seed in range(sets):
        a, b = equal_pair(np.random.default_rng([13, seed]), n)
        alarms += test(a, b, Resampling(400, seed=seed)) < 0.05
    return alarms / sets


def by_bootstrap(a, b, resampling):
    return paired_difference(make_metric("f1_macro"), a, b, resampling).p_value


def by_permutation(a, b, resampling):
    return permutation_test(make_metric("f1_macro"), a, b, resampling)


@pytest.mark.parametrize("test", [by_bootstrap, by_permutation])
def test_equal_systems_seldom_differ(test):
    assert false_alarms(120, 150, test) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("test", [by_bootstrap, by_permutation])
def test_equal_systems_differ_at_most_one_time_in_twenty(test):
    assert false_alarms(1500, 200, test) <= 0.065
