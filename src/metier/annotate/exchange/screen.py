"""What is on the screen, as the named texts that other tools have, and back.

turns     one of a user: "text"; else "chat": [{"role", "content"}]
replies   "reply_a", "reply_b" ("reply" for one)
source    a text under each title

Reading takes more names: a record of another tool calls what is asked ``prompt``, ``question`` or
``instruction``, and the reply ``response``, ``completion`` or ``answer``. Texts under other names
stand beside the item, under their name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metier.core.types import Json

PROMPTS = ("text", "prompt", "question", "instruction", "input", "message", "query", "document")
CHATS = ("chat", "messages", "conversation", "dialog", "dialogue")
REPLIES = ("reply", "response", "completion", "output", "generation")
FIRST = ("reply_a", "response_a", "answer_a", "response1", "response_1", "completion_a", "answer1")
SECOND = ("reply_b", "response_b", "answer_b", "response2", "response_2", "completion_b", "answer2")


def fields_of(shown: Json) -> dict[str, Json]:
    """The texts on the screen by name."""
    shown = shown if isinstance(shown, Mapping) else {}
    turns = _dicts(shown.get("turns"))
    found: dict[str, Json] = {}
    if len(turns) == 1 and turns[0].get("role") == "user":
        found["text"] = str(turns[0].get("text", ""))
    elif turns:
        found["chat"] = [
            {"role": str(turn.get("role", "user")), "content": str(turn.get("text", ""))}
            for turn in turns
        ]
    replies = _dicts(shown.get("replies"))
    for one in replies:
        name = "reply" if len(replies) == 1 else f"reply_{one.get('key', 'a')}"
        found[name] = str(one.get("text", ""))
    for one in _dicts(shown.get("source")):
        found[str(one.get("title", "source"))] = str(one.get("text", ""))
    return found


def shown_of(fields: Mapping[str, Json]) -> dict[str, Json]:
    """What is to be on the screen, from texts by name."""
    chat = next((name for name in CHATS if _is_chat(fields.get(name))), None)
    prompt = next((name for name in PROMPTS if isinstance(fields.get(name), str)), None)
    turns: list[Json] = []
    if chat is not None:
        turns = [_turn(one) for one in fields[chat]]
    elif prompt is not None:
        turns = [{"role": "user", "text": fields[prompt]}]
    taken = {chat if chat is not None else prompt}
    replies = _replies(fields, taken)
    rest = [(name, value) for name, value in fields.items() if name not in taken]
    if not turns and rest and isinstance(rest[0][1], str):
        text = rest.pop(0)[1]
        turns = [{"role": "user", "text": text}]
    source = [{"title": name, "text": _text(value)} for name, value in rest]
    found: dict[str, Json] = {"turns": turns}
    return (
        found | ({"replies": replies} if replies else {}) | ({"source": source} if source else {})
    )


def _replies(fields: Mapping[str, Json], taken: set[str | None]) -> list[Json]:
    pair = [next((n for n in names if isinstance(fields.get(n), str)), None)
            for names in (FIRST, SECOND)]  # fmt: skip
    if None not in pair:
        taken |= set(pair)
        return [
            {"key": key, "text": fields[str(name)]} for key, name in zip("ab", pair, strict=True)
        ]
    one = next((n for n in REPLIES if isinstance(fields.get(n), str) and n not in taken), None)
    if one is None:
        return []
    taken.add(one)
    return [{"key": "a", "text": fields[one]}]


def _is_chat(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _turn(one: Mapping[str, Any]) -> Json:
    role = str(one.get("role") or one.get("from") or one.get("author") or "user")
    text = one.get("content", one.get("value", one.get("text", "")))
    return {"role": role, "text": _text(text)}


def _text(value: Json) -> str:
    import json

    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _dicts(value: Json) -> Sequence[Mapping[str, Any]]:
    found = value if isinstance(value, list | tuple) else []
    return [one for one in found if isinstance(one, Mapping)]
