"""Demonstrations look like the questions, take turns, and leave room for the reply."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from metier.core.completer import Capabilities, Completer, Sampling
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    Completion,
    CompletionTarget,
    Conversation,
    Example,
    LabelTarget,
    Provenance,
)
from metier.models.answer import answer
from metier.models.base import Base
from metier.models.choosing import FillingCompleter
from metier.models.engines.local import LocalCompleter
from metier.models.few_shot import few_shot
from metier.models.prompt import PromptVariant, render_prompt

CLASSIFY = Objective(task="classify", labels=["card_arrival", "no"])
VARIANT = PromptVariant("v", "SYS", "Q: {input}")


def example(number: int, text: str, label: str) -> Example:
    asked = Conversation.of(("user", text))
    return Example(f"ex_{number}", asked, LabelTarget(label), Provenance("t", "t", str(number)))


EXAMPLES = [
    example(1, "where is my card", "card_arrival"),
    example(2, "is this a risk", "no"),
    example(3, "my card please", "card_arrival"),
    example(4, "card card", "card_arrival"),
]


def frame(asked: Conversation) -> Conversation:
    return render_prompt(asked, CLASSIFY, [], VARIANT)


class Echo:
    """Says how many turns it was shown."""

    name, fingerprint, capabilities = "echo", "f", Capabilities(scores=True)

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        return [Completion(str(len(asked.messages))) for asked in conversations]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        return [[float(len(asked.messages))] * len(choices) for asked in conversations]


def test_demonstrations_stand_between_system_and_question() -> None:
    completer = few_shot(Echo(), EXAMPLES, 2, CLASSIFY, frame)
    (prompt,) = completer.prompts([frame(Conversation.of(("user", "new")))])
    assert [m.role for m in prompt.messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert prompt.messages[0].text == "SYS"
    assert {m.text for m in prompt.messages if m.role == "assistant"} == {"card arrival", "no"}
    assert all(m.text.startswith("Q: ") for m in prompt.messages if m.role == "user")
    assert prompt.last_user == "Q: new"
    (bare,) = completer.prompts([Conversation.of(("user", "new"))])
    assert bare.messages[0].role == "user"


def test_it_is_a_completer_of_its_own() -> None:
    completer = few_shot(Echo(), EXAMPLES, 2, CLASSIFY, frame)
    assert isinstance(completer, Completer)
    assert not isinstance(completer, FillingCompleter)
    assert completer.name == "few_shot(2)"
    assert completer.capabilities == Echo.capabilities
    asked = [Conversation.of(("user", "x"))]
    assert completer.complete(asked, Sampling())[0].text == "5"
    assert completer.score(asked, ["a"]) == [[5.0]]


def test_the_fingerprint_follows_what_is_shown() -> None:
    prints = {
        few_shot(Echo(), EXAMPLES, k, CLASSIFY, frame, selection=how).fingerprint
        for k in (1, 2)
        for how in ("fixed", "nearest")
    }
    assert len(prints) == 4


def test_fixed_demonstrations_repeat_by_seed() -> None:
    def shown(seed: int) -> Conversation:
        completer = few_shot(Echo(), EXAMPLES, 3, CLASSIFY, frame, seed=seed)
        return completer.prompts([Conversation.of(("user", "x"))])[0]

    assert shown(1) == shown(1)
    assert len({shown(seed) for seed in range(5)}) > 1


def test_nearest_demonstrations_fit_the_question_and_come_last() -> None:
    completer = few_shot(Echo(), EXAMPLES, 2, CLASSIFY, frame, selection="nearest")
    assert completer.name == "few_shot(2, nearest)"
    (prompt,) = completer.prompts([Conversation.of(("user", "Q: is this a risk"))])
    assert prompt.messages[-3].text == "Q: is this a risk"


def test_more_than_there_are_shows_all() -> None:
    completer = few_shot(Echo(), EXAMPLES[:1], 9, CLASSIFY, frame)
    assert completer.name == "few_shot(1)"
    with pytest.raises(InputError, match="none with a target"):
        few_shot(Echo(), [], 1, CLASSIFY, frame)


def test_what_does_not_fit_is_left_out(llama: Base) -> None:
    inner = LocalCompleter(llama)
    long = [example(n, "where is my card " * 12, "no") for n in range(40)]
    completer = few_shot(inner, long, 40, CLASSIFY, frame)
    (prompt,) = completer.prompts([frame(Conversation.of(("user", "new")))])
    assert 1 < len(prompt.messages) < 82
    assert inner.room(prompt) >= 64
    assert prompt.last_user == "Q: new"


def test_around_a_language_model_it_chooses_and_fills(llama: Base) -> None:
    completer = few_shot(LocalCompleter(llama), EXAMPLES, 2, CLASSIFY, frame)
    assert isinstance(completer, FillingCompleter)
    asked = [frame(Conversation.of(("user", text))) for text in ("a", "where is my card")]
    for completion in answer(completer, asked, CLASSIFY, ["card_arrival", "no"], Sampling()):
        assert completion.text in ("card_arrival", "no")
        assert completion.usage.input_tokens > llama.max_tokens // 20
    form = Objective(
        task="structured", fields={"type": "object", "properties": {"a": {"type": "string"}}}
    )
    (reply,) = answer(completer, asked[:1], form, [], Sampling(max_tokens=4))
    assert reply.text.startswith('{"a": "')


def test_written_examples_are_shown_in_full() -> None:
    shown = Example(
        "ex_1",
        Conversation.of(("user", "hi")),
        CompletionTarget("Hello!"),
        Provenance("t", "t", "1"),
    )
    completer = few_shot(Echo(), [shown], 1, Objective(task="chat"), lambda asked: asked)
    (prompt,) = completer.prompts([Conversation.of(("user", "x"))])
    assert [m.text for m in prompt.messages] == ["hi", "Hello!", "x"]
