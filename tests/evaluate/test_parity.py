"""Parity: the same replies and scores from two ways of running a model, or not."""

from __future__ import annotations

import math

import pytest

from evaluate_fakes import CLASSIFY, FakeCompleter
from metier.core.completer import Completer, Sampling
from metier.core.types import Completion, Conversation
from metier.evaluate.bench import Contender
from metier.evaluate.effects.parity import Bar, parity
from metier.evaluate.effects.probing import Asked
from metier.models import prompt
from metier.models.engines.local import LocalCompleter
from tiny_models import tiny_base

ASKED = [Conversation.of(("user", f"where is parcel {n}")) for n in range(8)]


class Failing(FakeCompleter):
    """Fails on every second prompt."""

    def complete(self, conversations, sampling):  # type: ignore[no-untyped-def]
        found = super().complete(conversations, sampling)
        return [Completion("", "error", error="down") if i % 2 else c for i, c in enumerate(found)]


def test_the_same_model_twice_is_the_same() -> None:
    base = tiny_base()
    found = parity(
        LocalCompleter(base),
        LocalCompleter(base, batch_tokens=32),
        ASKED,
        sampling=Sampling(max_tokens=6),
        choices=["refund", "lost card"],
    )
    assert found.passed
    assert found.same.value == 1.0
    assert found.same.low < 1.0, "eight prompts do not prove that all are the same"
    assert found.largest is not None and found.largest < 1e-3
    assert found.differing == () and found.earliest is None


def test_different_replies_are_found_and_placed() -> None:
    other = FakeCompleter(lambda text: "billing" if text.endswith("3") else "delivery")
    found = parity(FakeCompleter(lambda _: "delivery"), other, ASKED)
    assert not found.passed
    assert found.same.value == 7 / 8
    assert found.differing == (3,)
    assert found.earliest == 0
    assert found.largest is None, "neither can score"
    assert parity(FakeCompleter(lambda _: "delivery"), other, ASKED, bar=Bar(same=0.8)).passed


def test_scores_that_lie_apart_fail_the_bar() -> None:
    def scorer(shift: float) -> Completer:
        return FakeCompleter(lambda _: "x", score=lambda text, choice: -len(choice) - shift)

    found = parity(scorer(0.0), scorer(0.25), ASKED, choices=["a", "bb"])
    assert found.same.value == 1.0
    assert math.isclose(found.largest or 0, 0.25) and math.isclose(found.mean or 0, 0.25)
    assert not found.passed
    assert parity(scorer(0.0), scorer(0.005), ASKED, choices=["a"]).passed


def test_a_reply_that_failed_is_not_the_same() -> None:
    found = parity(FakeCompleter(lambda _: ""), Failing(lambda _: ""), ASKED)
    assert found.same.value == 0.5
    assert found.errors == (0, 4)
    assert not found.passed


def test_nothing_to_compare_is_undefined_and_does_not_pass() -> None:
    found = parity(FakeCompleter(str), FakeCompleter(str), [])
    assert found.same.method == "undefined" and not found.passed


def test_a_contender_is_asked_as_in_evaluation() -> None:
    inner = FakeCompleter(lambda _: "", score=lambda text, choice: -float(len(choice)))
    asked = Asked(Contender("tuned", inner, prompt.TUNED, "You sort mail."), CLASSIFY, ("a", "bb"))
    (reply,) = asked.complete([Conversation.of(("user", "x"))], Sampling())
    assert reply.text == "a"
    assert inner.asked[0].messages[0].text == "You sort mail."
    assert asked.fingerprint != inner.fingerprint and asked.name == "fake"
    assert asked.score([Conversation.of(("user", "x"))], ["ccc"]) == [[-3.0]]
    with pytest.raises(NotImplementedError):
        _ = Asked(Contender("tuned", _NoScores()), CLASSIFY).score([], ["a"])


class _NoScores(FakeCompleter):
    def __init__(self) -> None:
        super().__init__(str)

    def score(self, conversations, choices):  # type: ignore[no-untyped-def]
        raise NotImplementedError
