"""Chat formats, told by their shape: OpenAI ``messages``, ShareGPT ``conversations``, Alpaca.

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
    {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}
    {"instruction": "…", "input": "…", "output": "…"}

The turns up to the last supervised assistant turn are the history; that turn is the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from metier.core.types import Conversation, Json, Message, Role
from metier.sources.types import RowError
from metier.sources.values import as_text

ROLES: dict[str, Role] = {
    **{"system": "system", "developer": "system"},
    **{"user": "user", "human": "user"},
    **{"assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant"},
    **{"tool": "tool", "function": "tool", "observation": "tool"},
}
Turns = tuple[Message, ...]


def chat_shape(values: Mapping[str, Json]) -> str | None:
    """Return which chat format a row has (openai, sharegpt, alpaca), or None."""
    if isinstance(values.get("messages"), list):
        return "openai"
    if isinstance(values.get("conversations"), list):
        return "sharegpt"
    if "instruction" in values and "output" in values:
        return "alpaca"
    return None


def read_turns(values: Mapping[str, Json], shape: str) -> Turns:
    """Return the turns of a row in the given format. Raises RowError (bad_conversation)."""
    return _SHAPES[shape](values)


def split_turns(turns: Turns) -> tuple[Conversation, str | None]:
    """Return the history and the text of the last assistant turn whose weight is not 0.

    What follows that turn is left out. Without any assistant turn the text is None: a row to be
    labelled.
    """
    if not any(turn.role == "user" for turn in turns):
        raise RowError("bad_conversation", "the conversation has no user turn")
    answers = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    if not answers:
        return Conversation(turns), None
    supervised = [index for index in answers if turns[index].weight]
    if not supervised:
        raise RowError("bad_conversation", "every assistant turn has weight 0")
    last = supervised[-1]
    if not any(turn.role == "user" for turn in turns[:last]):
        raise RowError("bad_conversation", "no user turn before the last assistant turn")
    return Conversation(turns[:last]), turns[last].text


def _openai(values: Mapping[str, Json]) -> Turns:
    return tuple(_openai_turn(turn) for turn in _turn_list(values, "messages"))


def _openai_turn(turn: Mapping[str, Json]) -> Message:
    if turn.get("tool_calls") or turn.get("function_call"):
        raise RowError("bad_conversation", "a turn calls a tool; tool calls are not supported")
    weight = turn.get("weight", 1)
    if weight not in (0, 1):
        raise RowError("bad_conversation", f"weight {weight!r}; it is 0 or 1")
    return Message.of(_role(turn.get("role")), _content(turn.get("content")), int(weight))


def _content(content: Json) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        if len(parts) == len(content) and all(part.get("type") == "text" for part in parts):
            return "\n".join(str(part.get("text", "")) for part in parts)
        raise RowError("bad_conversation", "a turn holds parts that are not text")
    raise RowError("bad_conversation", f"content {content!r:.60}; expected text")


def _sharegpt(values: Mapping[str, Json]) -> Turns:
    turns = []
    if system := values.get("system"):
        turns.append(Message.of("system", as_text(system)))
    for turn in _turn_list(values, "conversations"):
        role = turn.get("from", turn.get("role"))
        content = turn.get("value", turn.get("content"))
        turns.append(Message.of(_role(role), _content(content)))
    return tuple(turns)


def _alpaca(values: Mapping[str, Json]) -> Turns:
    turns = []
    if system := as_text(values.get("system")):
        turns.append(Message.of("system", system))
    for pair in values.get("history") or []:
        if not (isinstance(pair, Sequence) and len(pair) == 2):
            raise RowError("bad_conversation", "history must hold pairs of question and answer")
        turns += [Message.of("user", str(pair[0])), Message.of("assistant", str(pair[1]))]
    asked = [as_text(values.get(key)).strip() for key in ("instruction", "input")]
    if not any(asked):
        raise RowError("no_prompt", "instruction and input are empty")
    turns.append(Message.of("user", "\n\n".join(text for text in asked if text)))
    turns.append(Message.of("assistant", as_text(values.get("output"))))
    return tuple(turns)


_SHAPES: dict[str, Callable[[Mapping[str, Json]], Turns]] = {
    "openai": _openai,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
}


def _turn_list(values: Mapping[str, Json], column: str) -> list[Mapping[str, Json]]:
    turns = values.get(column)
    if not isinstance(turns, list) or not turns:
        raise RowError("bad_conversation", f"{column!r} is not a list of turns")
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise RowError("bad_conversation", f"a turn is {turn!r:.60}; expected an object")
    return turns


def _role(name: Json) -> Role:
    role = ROLES.get(str(name).lower())
    if role is None:
        known = ", ".join(ROLES)
        raise RowError("bad_conversation", f"unknown role {name!r}; known: {known}")
    return role
