"""The statistics check themselves: intervals cover, equal systems seldom differ, and what power
was promised is there. Each test draws many test sets from a world whose truth is known.

The full size is 2,000 sets, where the standard error of a coverage is half a point (marked slow);
every run does 300, where it is 1.3 points and the bounds are wider by two of those.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from metier.core.types import Score
from metier.scoring import (
    Resampling,
    make_metric,
    mcnemar_test,
    paired_difference,
    permutation_test,
)
from metier.scoring.statistics.power import (
    detectable,
    items_for_mean,
    items_for_paired,
    items_for_proportion,
)
from simulated_sets import (
    World,
    classes,
    coverage,
    equal_pair,
    false_alarms,
    grouped_shares,
    grouped_texts,
    pair,
    shares,
    text_pair,
    texts,
)

FEW, MANY = 300, 2000
WORLDS = {
    "share 0.1 of 100": shares(0.1, 100),
    "share 0.5 of 100": shares(0.5, 100),
    "share 0.9 of 150": shares(0.9, 150),
    "macro F1, 4 classes, 100 items": classes(4, 100, 0.85),
    "macro F1, 10 classes, 200 items": classes(10, 200, 0.85),
    "macro F1, 25 classes, 200 items": classes(25, 200, 0.85),
    "weighted F1, 5 classes, 200 items": classes(5, 200, 0.85, "f1_weighted"),
    "texts, skewed low, 100 items": texts(0.8, 4, 100),
    "texts, skewed high, 100 items": texts(5, 1.2, 100),
    "shares in 60 groups": grouped_shares(0.7, 60),
    "texts in 60 groups": grouped_texts(1.2, 4, 60),
}
MORE_WORLDS = {
    "share 0.3 of 1,000": shares(0.3, 1000),
    "macro F1, 4 classes, 100 items, poor": classes(4, 100, 0.3),
    "macro F1, 4 classes, 400 items": classes(4, 400, 0.85),
    "macro F1, 10 classes, 100 items": classes(10, 100, 0.85),
    "macro F1, 10 classes, 200 items, poor": classes(10, 200, 0.2),
    "macro F1, 25 classes, 100 items": classes(25, 100, 0.85),
    "macro F1, 25 classes, 400 items": classes(25, 400, 0.7),
    "macro F1, 77 classes, 308 items": classes(77, 308, 0.85),
    "macro F1, 77 classes, 600 items": classes(77, 600, 0.85),
    "macro F1, 77 classes, 1,000 items": classes(77, 1000, 0.7),
    "macro F1, 77 classes, 2,000 items": classes(77, 2000, 0.85),
    "texts, skewed low, 400 items": texts(0.8, 4, 400),
    "shares in 30 groups": grouped_shares(0.7, 30),
    "shares in 150 groups": grouped_shares(0.85, 150),
    "texts in 40 groups": grouped_texts(1.2, 4, 40),
    "texts in 150 groups": grouped_texts(5, 1.2, 150),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_intervals_cover(world: World) -> None:
    assert 0.905 <= coverage(world, FEW, resamples=300) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("world", (WORLDS | MORE_WORLDS).values(), ids=(WORLDS | MORE_WORLDS))
def test_intervals_cover_at_full_size(world: World) -> None:
    assert 0.93 <= coverage(world, MANY, resamples=600) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("groups", [30, 60])
def test_t_intervals_cover_at_full_size(groups: int) -> None:
    assert 0.93 <= coverage(grouped_texts(1.2, 4, groups), MANY, method="t") <= 0.97


def test_clusters_are_what_makes_the_interval_honest() -> None:
    world = grouped_shares(0.7, 60)

    def ungrouped(rng: np.random.Generator) -> list[Score]:
        return [Score(r.example_id, None, r.expected, r.got) for r in world.draw(rng)]

    assert coverage(World(world.metric, world.truth, ungrouped), FEW) < 0.9


def by_bootstrap(metric: str, a: list[Score], b: list[Score], resampling: Resampling) -> float:
    return paired_difference(make_metric(metric), a, b, resampling).p_value


def by_permutation(metric: str, a: list[Score], b: list[Score], resampling: Resampling) -> float:
    return permutation_test(make_metric(metric), a, b, resampling)


def by_mcnemar(a: list[Score], b: list[Score], resampling: Resampling) -> float:
    return mcnemar_test(a, b)


LABELS = partial(equal_pair, n=200)
MANY_LABELS = partial(equal_pair, n=300, labels=40)
TEXTS = partial(text_pair, n=150)
PAIRS = {
    "accuracy": (LABELS, partial(by_bootstrap, "accuracy")),
    "macro F1": (LABELS, partial(by_bootstrap, "f1_macro")),
    "macro F1, 40 classes": (MANY_LABELS, partial(by_bootstrap, "f1_macro")),
    "texts": (TEXTS, partial(by_bootstrap, "mean")),
    "macro F1, permutation": (LABELS, partial(by_permutation, "f1_macro")),
    "McNemar": (LABELS, by_mcnemar),
}


@pytest.mark.parametrize("draw_and_test", PAIRS.values(), ids=PAIRS.keys())
def test_equal_systems_seldom_differ(draw_and_test) -> None:  # type: ignore[no-untyped-def]
    assert false_alarms(FEW, *draw_and_test) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / FEW)


@pytest.mark.slow
@pytest.mark.parametrize("draw_and_test", PAIRS.values(), ids=PAIRS.keys())
def test_equal_systems_differ_at_most_one_time_in_twenty(draw_and_test) -> None:  # type: ignore[no-untyped-def]
    assert false_alarms(MANY, *draw_and_test) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / MANY)


def promised(bound: float, truth: float, sets: int) -> float:
    """How often the gate passes at the number of items that promises 80%."""
    n, metric = items_for_proportion(bound, truth), make_metric("accuracy")
    world = shares(truth, n)
    draws = (world.draw(np.random.default_rng([17, seed])) for seed in range(sets))
    return float(np.mean([metric(records).low >= bound for records in draws]))


@pytest.mark.parametrize(("bound", "truth"), [(0.8, 0.88), (0.5, 0.6)])
def test_the_promised_power_of_a_proportion_is_found(bound: float, truth: float) -> None:
    assert 0.75 <= promised(bound, truth, FEW) <= 0.88


def test_the_promised_power_of_a_mean_is_found() -> None:
    world = texts(2, 3, 1, zeros=0.0)
    sd = math.sqrt(2 * 3 / (25 * 6))
    n = items_for_mean(world.truth - 0.05, world.truth, sd)
    drawn = texts(2, 3, n, zeros=0.0)
    metric = make_metric("mean")
    sets = (drawn.draw(np.random.default_rng([23, seed])) for seed in range(FEW))
    passed = [metric(records, Resampling(300)).low >= world.truth - 0.05 for records in sets]
    assert 0.73 <= np.mean(passed) <= 0.88


def test_the_promised_power_of_a_paired_difference_is_found() -> None:
    # on the 40% hard items 0.5 + 0.2 against 0.5, and a wrong guess is right one time in five
    gain = 0.4 * 0.2 * 0.8
    a_hard, b_hard, easy = 0.7 + 0.06, 0.5 + 0.1, 0.95 + 0.01
    discordant = 0.4 * (a_hard * (1 - b_hard) + b_hard * (1 - a_hard)) + 0.6 * 2 * easy * (1 - easy)
    n = items_for_paired(gain, discordant)
    found = 0
    for seed in range(FEW):
        a, b = pair(np.random.default_rng([29, seed]), n, 5, 0.2)
        estimate = paired_difference(make_metric("accuracy"), a, b, Resampling(300)).estimate
        found += estimate.low > 0
    assert 0.73 <= found / FEW <= 0.88


def test_a_detectable_difference_is_detected_as_often_as_said() -> None:
    rng = np.random.default_rng(31)
    values = rng.normal(0, 1, (1000, 100))
    sets = [[Score(f"e{i}", float(v)) for i, v in enumerate(row)] for row in values[:40]]
    said = [detectable(make_metric("mean")(records, Resampling(400))) for records in sets]
    least = np.mean([one for one in said if one is not None])
    arm = 1.96 * values.std(axis=1, ddof=1) / 10
    assert 0.73 <= np.mean(values.mean(axis=1) + least - arm > 0) <= 0.87
