"""The severity model: published fits, brute force, and raters whose severity is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from metier.core.errors import InputError
from metier.core.types import Estimate
from metier.scoring import Resampling
from metier.scoring.statistics.severity import connected, correct_severity, least_items
from metier.scoring.statistics.severity_fit import Design, Rating, fit, redrawn

FAST = Resampling(200)

# Wretenberg, Arborelius and Lindberg (1993): effort on the Borg scale of nine subjects rising from
# four stools; the fit is that of Pinheiro and Bates (2000), Mixed-Effects Models in S and S-PLUS,
# section 1.2: effort ~ Type, random = ~ 1 | Subject, REML.
STOOLS = {
    "T1": (12, 10, 7, 7, 8, 9, 8, 7, 9),
    "T2": (15, 14, 14, 11, 11, 11, 12, 11, 13),
    "T3": (12, 13, 13, 10, 8, 11, 12, 8, 10),
    "T4": (10, 12, 9, 9, 7, 10, 11, 7, 8),
}
# Milliken and Johnson (1992), table 23.1: three machines, six workers, three times each; the fit is
# that of Pinheiro and Bates (2000), section 1.3: score ~ Machine, random = ~ 1 | Worker.
MACHINES = {
    "A": "52 52.8 53.1|51.8 52.8 53.1|60 60.2 58.4|51.1 52.3 50.3|50.9 51.8 51.4|46.4 44.8 49.2",
    "B": "62.1 62.6 64|59.7 60 59|68.6 65.8 69.7|63.2 62.8 62.2|64.8 65 65.4|43.7 44.2 43",
    "C": "67.5 67.2 66.9|61.5 61.7 62.3|70.8 70.6 71|64.1 66.2 64|72.1 72 71.1|62 61.4 60.5",
}
# Davies and Goldsmith (1972), Statistical Methods in Research and Production, section 6.6: six
# samples of penicillin on each of 24 plates, crossed; the fit is that of Bates (2010), lme4:
# Mixed-effects modeling with R, section 2.1: diameter ~ 1 + (1 | plate) + (1 | sample), REML.
PLATES = """
27 23 26 23 23 21  27 23 26 23 23 21  25 21 25 24 24 20  26 23 25 23 23 20  25 22 26 22 23 20
24 22 25 23 22 19  24 20 23 21 22 19  26 22 26 24 24 21  24 21 24 22 22 20  24 21 24 23 22 19
26 23 26 24 24 21  25 22 26 24 24 20  26 24 26 24 25 22  26 23 26 23 23 20  26 23 25 24 24 22
25 22 25 23 23 20  25 21 24 23 23 20  25 22 24 23 23 19  24 21 23 21 21 19  26 23 26 24 24 21
25 21 24 22 22 18  25 22 25 22 22 20  24 21 24 22 24 19  24 21 24 22 21 18
"""


def stools() -> list[Rating]:
    return [
        Rating(f"{stool} {subject}", f"subject {subject}", stool, effort)
        for stool, efforts in STOOLS.items()
        for subject, effort in enumerate(efforts)
    ]


def three(values) -> list[float]:
    return [round(float(one), 3) for one in values]


# -- published fits --------------------------------------------------------------------------------


def test_the_stools_of_pinheiro_and_bates():
    found = fit(Design.of(stools()))
    assert three(found.means) == [
        8.556,
        12.444,
        10.778,
        9.222,
    ]  # 8.5556 + 0, 3.8889, 2.2222, 0.6667
    assert three([found.sd_rater, found.sd_noise, found.sd_item]) == [1.332, 1.100, 0.0]


def test_the_machines_of_pinheiro_and_bates():
    ratings = [
        Rating(f"{machine} {worker} {time}", f"worker {worker}", machine, float(score))
        for machine, line in MACHINES.items()
        for worker, scores in enumerate(line.split("|"), start=1)
        for time, score in enumerate(scores.split())
    ]
    found = fit(Design.of(ratings))
    assert three(found.means) == [52.356, 60.322, 66.272]  # 52.35556, + 7.96667, + 13.91667
    assert three([found.sd_rater, found.sd_noise]) == [5.147, 3.162]


def test_the_penicillin_of_bates_has_items_and_raters_crossed():
    diameters = [float(one) for one in PLATES.split()]
    ratings = [
        Rating(f"plate {n // 6}", f"sample {'ABCDEF'[n % 6]}", "all", d)
        for n, d in enumerate(diameters)
    ]
    found = fit(Design.of(ratings))
    assert len(ratings) == 144 and three(found.means) == [22.972]
    assert three([found.sd_item, found.sd_rater, found.sd_noise]) == [0.847, 1.932, 0.550]
    # the conditional modes of the samples, section 2.1.2
    assert three(found.leanings) == [2.187, -1.010, 1.938, -0.097, -0.014, -3.004]


def simulated(seed: int, items: int = 60, raters: int = 12, gap: float = 0.25, sparse=True):
    """Five models m0 < … < m4, ``gap`` points apart. Each item has three of them, each rated by two
    of the raters, who differ by 0.6 points (one standard deviation); the stricter a rater, the more
    of the better models they happen to get, as where experts rate what is thought to be good."""
    rng = np.random.default_rng(seed)
    strict = np.sort(rng.normal(0, 0.6, raters))
    hard, out = rng.normal(0, 0.4, items), []
    rank = np.arange(raters) - (raters - 1) / 2
    for item in range(items):
        for model in rng.permutation(5)[: 3 if sparse else 5]:
            odds = np.exp(0.2 * (model - 2) * rank)
            for rater in rng.choice(raters, 2, replace=False, p=odds / odds.sum()):
                felt = 3 + gap * (model - 2) - hard[item] - strict[rater] + rng.normal(0, 0.6)
                value = float(np.clip(np.rint(felt), 1, 5))
                out.append(Rating(f"i{item}", f"r{rater:02}", f"m{model}", value))
    return out, strict


def test_it_is_the_model_written_out_in_full():
    ratings, _ = simulated(3, items=14, raters=4)
    design = Design.of(ratings)
    found = fit(design)
    n = len(ratings)
    x = np.eye(len(design.candidates))[design.candidate]
    z_item, z_rater = np.eye(len(design.items))[design.item], np.eye(4)[design.rater]

    def parts(spread):
        v = np.eye(n) * spread[2] ** 2
        v += spread[0] ** 2 * z_item @ z_item.T + spread[1] ** 2 * z_rater @ z_rater.T
        inverse = np.linalg.inv(v)
        means = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ design.values)
        return v, inverse, means

    def deviance(spread):
        v, inverse, means = parts(spread)
        left = design.values - x @ means
        bits = [np.linalg.slogdet(one)[1] for one in (v, x.T @ inverse @ x)]
        return sum(bits) + left @ inverse @ left

    best = minimize(deviance, [0.4, 0.4, 0.6], method="Nelder-Mead", options={"xatol": 1e-6})
    assert [found.sd_item, found.sd_rater, found.sd_noise] == pytest.approx(abs(best.x), abs=1e-3)
    _, inverse, means = parts(best.x)
    assert found.means == pytest.approx(means, abs=1e-3)
    left = inverse @ (design.values - x @ means)
    assert found.leanings == pytest.approx(best.x[1] ** 2 * z_rater.T @ left, abs=1e-3)
    assert found.items == pytest.approx(best.x[0] ** 2 * z_item.T @ left, abs=1e-3)


def test_a_draw_is_the_fit_of_the_items_drawn():
    ratings, _ = simulated(5, items=12, raters=4)
    found = fit(Design.of(ratings))
    groups = sorted({one.item for one in ratings})
    rng = np.random.default_rng(7)
    picked = rng.integers(0, len(groups), (1, len(groups)))[0]
    again = [
        Rating(f"{copy}", one.rater, one.candidate, one.value)
        for copy, place in enumerate(picked)
        for one in ratings
        if one.item == sorted({f"item:{g}" for g in groups})[place].removeprefix("item:")
    ]
    drawn = redrawn(found, Resampling(1, seed=7))[0]
    from metier.scoring.statistics.severity_fit import _moments, _solved

    design = Design.of(again)
    expected = _solved(design, _moments(design), found.ratios)
    assert drawn[:5] == pytest.approx(expected.means)
    assert drawn[5:] == pytest.approx(expected.leanings)


# -- raters whose severity is known ----------------------------------------------------------------


def rankings(runs: int, items: int) -> tuple[float, float]:
    """Return how often the corrected and the raw ranking of five models is right."""
    right, raw = 0, 0
    for seed in range(runs):
        ratings, _ = simulated(seed, items)
        found = fit(Design.of(ratings))
        plain = [np.mean([o.value for o in ratings if o.candidate == f"m{m}"]) for m in range(5)]
        right += bool(np.all(np.diff(found.means) > 0))
        raw += bool(np.all(np.diff(plain) > 0))
    return right / runs, raw / runs


def test_the_corrected_ranking_is_right_where_raw_means_are_not():
    corrected, raw = rankings(12, items=150)
    assert corrected >= 11 / 12 and raw <= 2 / 12


@pytest.mark.slow
def test_the_corrected_ranking_is_right_in_95_of_100_runs():
    corrected, raw = rankings(200, items=150)
    assert corrected >= 0.95 and raw <= 0.10, (corrected, raw)


def test_severities_come_back_with_their_sign_and_intervals():
    ratings, strict = simulated(1, items=150)
    found = correct_severity(ratings, resampling=FAST)
    told = np.asarray([one.severity.value for one in found.raters])
    assert np.corrcoef(told, strict)[0, 1] > 0.95
    assert found.ranking == ("m4", "m3", "m2", "m1", "m0")
    for one in (*found.candidates, *found.raters):
        estimate = one.corrected if hasattr(one, "corrected") else one.severity
        assert estimate.low < estimate.value < estimate.high and estimate.n > 10
    assert found.panel_error == pytest.approx(found.sd_rater / math.sqrt(12))
    assert found.subsets == (("m0", "m1", "m2", "m3", "m4"),) and found.warnings == ()
    assert [one.misfit for one in found.raters] == pytest.approx(np.ones(12), abs=0.6)


def coverage(runs: int) -> float:
    hits = 0
    for seed in range(runs):
        ratings, _ = simulated(seed, items=80, gap=0.2)
        found = correct_severity(ratings, resampling=Resampling(200))
        best = next(d for d in found.differences if (d.first, d.second) == ("m1", "m3"))
        hits += best.estimate.low <= -0.4 <= best.estimate.high
    return hits / runs


@pytest.mark.slow
def test_intervals_of_differences_hold_the_truth():
    assert 0.90 <= coverage(300) <= 0.99


def test_a_rater_who_rolls_dice_is_noticed():
    ratings, _ = simulated(2, items=150)
    rng = np.random.default_rng(0)
    ratings = [
        Rating(
            o.item, o.rater, o.candidate, float(rng.integers(1, 6)) if o.rater == "r03" else o.value
        )
        for o in ratings
    ]
    found = {one.rater: one.misfit for one in correct_severity(ratings, resampling=FAST).raters}
    assert found["r03"] > 1.5 and max(v for k, v in found.items() if k != "r03") < 1.5


# -- what cannot be told is said -------------------------------------------------------------------


def test_candidates_that_no_rater_connects_are_not_compared():
    ratings = [
        Rating(f"i{n}", who, model, value + n % 2)
        for n in range(30)
        for who, model, value in (("ana", "x", 2), ("ana", "y", 3), ("ben", "z", 4))
    ]
    assert connected(ratings) == (("x", "y"), ("z",))
    found = correct_severity(ratings, resampling=FAST)
    by_pair = {(one.first, one.second): one.estimate for one in found.differences}
    assert by_pair["x", "y"].value == pytest.approx(-1)
    assert by_pair["x", "z"].warnings[0] == "no rater, nor a chain of raters, rated both x and z"
    assert "a strict rater looks like a poor candidate" in " ".join(found.warnings)
    bridge = [*ratings, Rating("i0", "ben", "x", 3)]
    assert connected(bridge) == (("x", "y", "z"),)


def test_one_rater_one_item_and_a_ceiling():
    one = [Rating(f"i{n}", "ana", model, 5) for n in range(20) for model in ("x", "y")]
    found = correct_severity(one, resampling=FAST)
    assert found.sd_rater == 0 and "one rater only" in found.warnings[0]
    assert "100% of the ratings are 5" in found.warnings[1]
    single = correct_severity([Rating("i", "ana", "x", 3), Rating("i", "ben", "x", 4)])
    assert math.isnan(single.candidates[0].corrected.low)
    assert (
        "only 1 item: a 95% interval takes at least 6" in single.candidates[0].corrected.warnings[0]
    )


def test_items_of_one_customer_are_drawn_together():
    ratings, _ = simulated(4, items=60)
    grouped = [
        Rating(o.item, o.rater, o.candidate, o.value, f"c{int(o.item[1:]) // 10}") for o in ratings
    ]
    found = correct_severity(grouped, resampling=FAST).candidates[0].corrected
    assert found.clusters == 6 and "only 6 independent groups" in " ".join(found.warnings)


def test_ratings_outside_the_scale_or_none_are_refused():
    with pytest.raises(InputError, match="ratings from 1 to 5"):
        correct_severity([Rating("i", "ana", "x", 6)])
    with pytest.raises(InputError, match="let the panel rate first"):
        correct_severity([])


def test_few_or_equal_ratings_are_no_certainty():
    def gap(n: int, values: tuple[float, float]) -> Estimate:
        ratings = [
            Rating(f"i{item}", who, model, value)
            for item in range(n)
            for who in ("ana", "ben")
            for model, value in zip(("m0", "m1"), values, strict=True)
        ]
        return correct_severity(ratings, resampling=FAST).differences[0].estimate

    few, equal = gap(5, (3, 4)), gap(40, (3, 4))
    assert [few.value, equal.value] == pytest.approx([-1, -1])
    assert math.isnan(few.low) and "takes at least 6" in few.warnings[0]
    assert math.isnan(equal.high) and "do not vary" in equal.warnings[0]
    assert [least_items(level) for level in (0.9, 0.95, 0.99)] == [5, 6, 8]
