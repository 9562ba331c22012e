import math

import pytest

from metier.core.types import Score
from metier.scoring import Resampling, make_metric, metrics
from metier.scoring.records import carries, conversation_of, turn_id, with_turns
from metier.scoring.texts.turns import conversations

FAST = Resampling(100)


def turn(example, expected, got, cluster="c"):
    return Score(example, None, expected, got, cluster=cluster)


# a: two turns, graded 1 and 0.5; b: one turn, graded 0.5; c: three, one of them failed
TURNS = with_turns(
    [
        turn(turn_id("a", 1), "yes", "yes", "a"),
        turn("a", "red car", "red bus", "a"),
        turn("b", "red car", "red bus", "b"),
        turn(turn_id("c", 2), "yes", None, "c"),
        turn(turn_id("c", 1), "yes", "yes", "c"),
        turn("c", "yes", "yes", "c"),
    ]
)


def value(name, records, **arguments):
    return metrics.make(name, **arguments)(records, FAST).value


def test_turns_know_their_conversation_and_place():
    places = [(one.detail["conversation"], one.detail["turn"]) for one in TURNS]
    assert places == [("a", 1), ("a", 2), ("b", 1), ("c", 2), ("c", 1), ("c", 3)]
    assert conversation_of(turn_id("a", 1)) == "a" and conversation_of("a") == "a"
    assert carries(TURNS, "turns") and not carries([turn("b", "x", "x")], "turns")


def test_one_value_per_conversation():
    assert [talk.grades for talk in conversations(TURNS)] == [(1.0, 0.5), (0.5,), (1.0, 0.0, 1.0)]
    assert value("conversation_mean", TURNS) == pytest.approx((0.75 + 0.5 + 2 / 3) / 3)
    assert value("conversation_worst", TURNS) == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert value("conversation_pass", TURNS) == pytest.approx(2 / 3)
    assert value("conversation_pass", TURNS, threshold=0.6) == 0.0
    assert value("conversation_pass", TURNS, grade="exact_match") == 0.0


def test_a_mean_over_turns_is_another_number():
    assert value("token_f1", TURNS) == pytest.approx((1 + 0.5 + 0.5 + 0 + 1 + 1) / 6)


def test_n_counts_conversations():
    found = make_metric("conversation_pass")(TURNS, FAST)
    assert (found.n, found.clusters) == (3, 3)
    same_customer = with_turns([turn(turn_id("a", 1), "x", "x"), turn("a", "x", "x")])
    assert make_metric("conversation_mean")(same_customer, FAST).clusters == 1


@pytest.mark.parametrize("name", ["conversation_mean", "conversation_worst", "conversation_pass"])
def test_without_turns_the_reason_is_said(name):
    for records in ([], [turn("a", "x", "x")]):
        found = make_metric(name)(records, FAST)
        assert math.isnan(found.value)
        assert any("no item is a turn of a conversation" in note for note in found.warnings)
    blind = with_turns([turn(turn_id("a", 1), None, "x"), turn("a", None, "x")])
    assert "no turn can be graded" in make_metric(name)(blind, FAST).warnings
