"""One example as a row of each format.

    openai    {"messages": [...]}, preferences as {"input", "preferred_output", ...}
              (platform.openai.com/docs/guides/supervised-fine-tuning, .../direct-preference-...)
    trl       {"prompt": [...], "completion": [...]} or {"prompt", "chosen", "rejected"}
              (huggingface.co/docs/trl/dataset_formats, conversational)
    sharegpt  {"conversations": [{"from": "human", "value": ...}]}
    alpaca    {"instruction", "input", "output", "system"}: single turns only

Labels, fields and spans are written as the reply that a model is tuned to give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Conversation, Example, Json, PreferenceTarget
from metier.models.prompt import render_example

Format = Literal["openai", "trl", "sharegpt", "alpaca", "parquet", "hub"]
FORMATS: tuple[Format, ...] = get_args(Format)
Row = dict[str, Json]
_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def row_of(example: Example, objective: Objective, how: Format) -> Row:
    """Return an example in a format of JSON lines.

    Raises:
        InputError: it has no target, or the format cannot hold it.
    """
    return _ROWS[how](example, objective)


def _openai(example: Example, objective: Objective) -> Row:
    asked = _turns(example.conversation)
    target = example.target
    if isinstance(target, PreferenceTarget):
        return {
            "input": {"messages": asked},
            "preferred_output": [_turn("assistant", target.chosen)],
            "non_preferred_output": [_turn("assistant", target.rejected)],
        }
    return {"messages": [*asked, _turn("assistant", render_example(example, objective))]}


def _trl(example: Example, objective: Objective) -> Row:
    asked, target = _turns(example.conversation), example.target
    if isinstance(target, PreferenceTarget):
        return {
            "prompt": asked,
            "chosen": [_turn("assistant", target.chosen)],
            "rejected": [_turn("assistant", target.rejected)],
        }
    reply = render_example(example, objective)
    return {"prompt": asked, "completion": [_turn("assistant", reply)]}


def _sharegpt(example: Example, objective: Objective) -> Row:
    reply = _one_reply(example, objective, "sharegpt")
    turns = [(m.role, m.text) for m in example.conversation.messages]
    said = [*turns, ("assistant", reply)]
    return {"conversations": [{"from": _SHAREGPT[role], "value": text} for role, text in said]}


def _alpaca(example: Example, objective: Objective) -> Row:
    reply = _one_reply(example, objective, "alpaca")
    users = [m.text for m in example.conversation.messages if m.role == "user"]
    system = "\n".join(m.text for m in example.conversation.messages if m.role == "system")
    if len(users) != 1 or any(m.role == "assistant" for m in example.conversation.messages):
        raise InputError(
            "a question and its answer (alpaca holds one turn)",
            got=f"{example.id}: {len(example.conversation.messages)} messages",
            remedy="export it as openai, trl or sharegpt",
        )
    row: Row = {"instruction": users[0], "input": "", "output": reply}
    return row | {"system": system} if system else row


def _one_reply(example: Example, objective: Objective, how: str) -> str:
    if isinstance(example.target, PreferenceTarget):
        raise InputError(
            f"one reply per row ({how} holds no preferences)",
            got=f"{example.id}: a preference",
            remedy="export it as openai or trl",
        )
    return render_example(example, objective)


def _turns(conversation: Conversation) -> list[Row]:
    return [_turn(one.role, one.text) for one in conversation.messages]


def _turn(role: str, text: str) -> Row:
    return {"role": role, "content": text}


_ROWS: dict[str, Callable[[Example, Objective], Row]] = {
    "openai": _openai,
    "trl": _trl,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
}
