"""The conversation that is trained on: the served prompt, and the reply that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from metier.core.objective import Objective
from metier.core.types import Conversation, Example
from metier.models.prompt import TUNED, render_example, render_prompt
from metier.tune.tokens.encode import Spoken

Turns = Literal["all", "last"]


def spoken(
    objective: Objective, labels: Sequence[str], system: str, turns: Turns = "all"
) -> Spoken:
    """Return the function from an example to its conversation, its wanted reply last.

    ``turns`` "last" takes earlier assistant turns out of the loss, whatever their weight.

    The prompt is the one evaluation and serving show a tuned model. Of a preference the chosen
    reply is learned.
    """

    def speak(example: Example) -> Conversation | None:
        if example.target is None:
            return None
        prompt = render_prompt(example.conversation, objective, labels, TUNED, system)
        if turns == "last":
            prompt = Conversation(tuple(replace(turn, weight=0) for turn in prompt.messages))
        return prompt.then("assistant", render_example(example, objective))

    return speak
