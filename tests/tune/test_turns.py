"""Which assistant turns are learned: all but those of weight 0, or the last only."""

from __future__ import annotations

from typing import Any

import pytest

from metier.core.objective import Objective
from metier.core.types import CompletionTarget, Conversation, Example, Message, Provenance
from metier.tune.tokens.encode import encode
from metier.tune.tokens.spoken import spoken
from tiny_models import tiny_tokenizer

TALK = (
    Message.of("user", "where is my card"),
    Message.of("assistant", "late"),
    Message.of("user", "the parcel"),
    Message.of("assistant", "lost", weight=0),
    Message.of("user", "refund please"),
)


@pytest.mark.parametrize(
    ("turns", "learned"),
    [("all", ["late<|im_end|>", "yes<|im_end|>"]), ("last", ["yes<|im_end|>"])],
)
def test_turns_in_the_loss(turns: Any, learned: list[str]) -> None:
    row = Example("one", Conversation(TALK), CompletionTarget("yes"), Provenance("t", "t", "1"))
    tokenizer = tiny_tokenizer()
    made = encode([row], spoken(Objective(task="chat"), (), "", turns), tokenizer, 200)
    (example,) = made.examples
    runs: list[list[int]] = [[]]
    for token, inside in zip(example.input_ids, example.supervised, strict=True):
        if inside:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    assert [tokenizer.decode(run) for run in runs if run] == learned
