"""Every assistant turn of a conversation, given the turns that really came before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluate_fakes import QUICK, FakeCompleter, bench_of
from metier.core import ledger
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    LabelTarget,
    Message,
    Provenance,
)
from metier.core.workspace import Workspace
from metier.evaluate.answers import answers_key
from metier.evaluate.bench import Contender
from metier.evaluate.compare import Comparison
from metier.evaluate.evaluate import evaluate
from metier.evaluate.turns import every_turn

CHAT = Objective(task="chat")
EVERY = QUICK.model_copy(update={"turns": "every"})


def talk(number: int, *texts: str, group: str | None = None) -> Example:
    """A conversation of user and assistant turns; the last text is the wanted reply."""
    roles = ["user", "assistant"] * len(texts)
    turns = Conversation.of(*zip(roles, texts[:-1], strict=False))
    provenance = Provenance("t.jsonl", "d", str(number))
    return Example(f"ex_{number:03d}", turns, CompletionTarget(texts[-1]), provenance, group)


THREE = talk(1, "hi", "hello", "my card", "which one", "red", "blocked")


def test_each_turn_is_an_example_after_the_reference_history() -> None:
    first, second, last = every_turn([THREE])
    assert [one.id for one in (first, second, last)] == ["ex_001#turn1", "ex_001#turn2", "ex_001"]
    assert [one.conversation.last_user for one in (first, second, last)] == ["hi", "my card", "red"]
    assert second.conversation.messages == THREE.conversation.messages[:3]
    assert [one.target.text for one in (first, second, last)] == ["hello", "which one", "blocked"]
    assert {one.group for one in (first, second, last)} == {"ex_001"}
    assert last.conversation == THREE.conversation


def test_a_group_stays_and_labels_have_no_turns() -> None:
    assert {one.group for one in every_turn([replace(THREE, group="customer 7")])} == {"customer 7"}
    label = replace(THREE, target=LabelTarget("billing"))
    assert every_turn([label]) == [label]
    assert [one.id for one in every_turn([talk(2, "hi", "hello")])] == ["ex_002"]


def test_turns_that_are_not_learned_from_or_answer_nobody_are_no_items() -> None:
    turns = (
        Message.of("assistant", "welcome"),
        Message.of("user", "hi"),
        Message.of("assistant", "hello", weight=0),
        Message.of("user", "card"),
        Message.of("assistant", " "),
        Message.of("user", "red"),
    )
    assert [one.id for one in every_turn([replace(THREE, conversation=Conversation(turns))])] == [
        "ex_001"
    ]


def bench(workspace: Workspace, config=EVERY):  # type: ignore[no-untyped-def]
    tests = [THREE, talk(2, "hi", "hello", "bye", "good bye"), talk(3, "hi", "hello")]
    train = [talk(n, "hi", "hello") for n in range(10, 14)]
    return bench_of(workspace, CHAT, train=train, test=tests, config=config)


def echo(text: str) -> str:
    return {"hi": "hello", "my card": "which card", "red": "blocked"}.get(text, "what")


def test_turns_and_whole_conversations_are_measured(workspace: Workspace) -> None:
    here = bench(workspace)
    found = evaluate(here, Contender("zero_shot", FakeCompleter(echo)))
    assert found.n == 6 and found.metrics["token_f1"].clusters == 3
    assert found.metrics["token_f1"].value == pytest.approx((1 + 0.5 + 1 + 1 + 0 + 1) / 6)
    assert found.metrics["conversation_mean"].value == pytest.approx((2.5 / 3 + 0.5 + 1) / 3)
    assert found.metrics["conversation_pass"].value == pytest.approx(2 / 3)
    assert found.metrics["conversation_pass"].n == 3
    stored = ledger.load_predictions(workspace, ledger.get_evaluation(workspace, found.id))
    assert [one.example_id for one in stored][:3] == ["ex_001#turn1", "ex_001#turn2", "ex_001"]
    assert {one.cluster for one in stored[:3]} == {"ex_001"}


def test_two_systems_are_compared_turn_by_turn(workspace: Workspace) -> None:
    here = bench(workspace)
    good = evaluate(here, Contender("zero_shot", FakeCompleter(echo, "good")))
    bad = evaluate(here, Contender("few_shot", FakeCompleter(lambda _: "what", "bad")))
    by_name = {one.metric: one for one in Comparison(here).differences(good, bad)}
    assert by_name["conversation_pass"].estimate.value == pytest.approx(2 / 3)
    assert by_name["token_f1"].estimate.n == 6


def test_the_last_turn_alone_is_the_default_and_another_set_of_answers(
    workspace: Workspace,
) -> None:
    every, last = bench(workspace), bench(workspace, QUICK)
    contender = Contender("zero_shot", FakeCompleter(echo))
    assert answers_key(every, contender, "test") != answers_key(last, contender, "test")
    found = evaluate(last, contender)
    assert found.n == 3 and "conversation_pass" not in found.metrics
