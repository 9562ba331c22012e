"""Selections: the same seed picks the same, ties follow the seed, and every pick says why."""

from __future__ import annotations

from math import log
from typing import Any

import pytest

from metier.annotate.select import (
    Pick,
    draw,
    pick_disagreeing,
    pick_divided,
    pick_failures,
    pick_random,
    pick_reasoned,
    pick_slice,
    pick_stratified,
    pick_uncertain,
    weakest,
)
from metier.core.records import Prediction
from metier.core.types import Completion

IDS = [f"ex_{number}" for number in range(30)]


def said(id: str, parsed: Any, p: float | None = None, **more: Any) -> Prediction:
    chances = None if p is None else {"a": log(p), "b": log(1 - p)}
    completion = Completion(str(parsed), choice_logprobs=chances, confidence=more.pop("sure", None))
    return Prediction(id, id, completion, parsed, more.pop("expected", "a"), "", more)


def ids(picks: list[Pick]) -> list[str]:
    return [one.id for one in picks]


def test_a_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    assert pick_random(IDS, 1) == pick_random(reversed(IDS), 1)
    assert ids(pick_random(IDS, 1)) != ids(pick_random(IDS, 2))
    assert sorted(ids(pick_random(IDS, 1))) == sorted(IDS)
    assert draw(1, "x") == draw(1, "x") != draw(2, "x")


def test_a_draw_favours_no_row() -> None:
    first = [ids(pick_random(IDS[:3], seed))[0] for seed in range(3000)]
    assert all(900 < first.count(one) < 1100 for one in IDS[:3])


def test_strata_take_turns() -> None:
    strata = {one: ("rare",) if number < 2 else ("common",) for number, one in enumerate(IDS)}
    picks = pick_stratified(strata, 0)
    kinds = [strata[one.id][0] for one in picks]
    assert kinds[:4] == ["common", "rare", "common", "rare"] and kinds[4:] == ["common"] * 26
    assert picks[1].reason == "label rare, one of 2"
    assert ids(pick_stratified(dict(reversed(strata.items())), 0)) == ids(picks)


def test_of_several_labels_the_rarest_is_the_stratum() -> None:
    strata = {"1": ("often", "seldom"), "2": ("often",), "3": ("often",), "4": ()}
    reasons = {one.id: one.reason for one in pick_stratified(strata, 0)}
    assert reasons["1"] == "label seldom, one of 1" and reasons["4"] == "label none, one of 1"


def test_the_closest_call_comes_first() -> None:
    found = [said("sure", "a", 0.95), said("torn", "a", 0.51), said("so", "a", 0.7)]
    picks = pick_uncertain([*found, said("silent", "a"), said("told", "a", sure=0.6)], 0)
    assert ids(picks) == ["torn", "so", "told", "sure"]
    assert picks[0].reason == "the model gave a 51% and b 49%"
    assert picks[2].reason == "the model was 60% sure"


def test_models_that_disagree_surely_come_first() -> None:
    ours = [said("1", "a", 0.6), said("2", "a", 0.9), said("3", "A ", 0.9), said("4", "a")]
    theirs = [said("1", "b", 0.1), said("2", "b", 0.1), said("3", "a", 0.9), said("5", "b")]
    assert ids(pick_disagreeing(ours, theirs, 0)) == ["2", "1"]


def test_the_most_divided_people_come_first() -> None:
    answers = {"one": ["a", "a", "b"], "all": ["a", "b", "c"], "none": ["a", "a", "a"]}
    picks = pick_divided(answers, 0)
    assert ids(picks) == ["all", "one"] and picks[0].reason == "1 of 3 people agreed"
    assert ids(pick_divided({"lists": [["a", "b"], ["a"]]}, 0)) == ["lists"]


def test_the_weak_slice_is_found_and_its_worst_come_first() -> None:
    rows = [said(f"m{n}", "a", channel="mail") for n in range(6)]
    rows += [said(f"p{n}", "a", channel="phone") for n in range(6)]
    grades = {one.example_id: 1.0 if one.slices["channel"] == "mail" else 0.5 for one in rows}
    grades["p3"] = 0.0
    assert weakest(rows, grades) == "channel=phone"
    assert weakest(rows[:4], grades) == ""
    picks = pick_slice(rows, grades, "channel=phone", 0)
    assert picks[0].id == "p3" and len(picks) == 6
    assert picks[0].reason == "in channel=phone, where the mean grade is 0.42 (n 6)"


def test_failures_are_the_worst_and_surest_errors() -> None:
    rows = [said("right", "a", 0.9), said("unsure", "b", 0.55), said("sure", "b", 0.95)]
    grades = {"right": 1.0, "unsure": 0.0, "sure": 0.0}
    picks = pick_failures(rows, grades, 0, "the untuned model")
    assert ids(picks) == ["sure", "unsure"]
    assert picks[0].reason == "the untuned model got it wrong (grade 0.00)"


@pytest.mark.parametrize("seed", [0, 1])
def test_what_has_more_reasons_comes_first(seed: int) -> None:
    picks = pick_reasoned({"1": ["doubt"], "2": ["doubt", "outlier", "doubt"]}, seed)
    assert ids(picks) == ["2", "1"] and picks[0].reason == "doubt, outlier"
