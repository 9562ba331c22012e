"""Two answers to one prompt, of which one is better: as told outright, or as people voted.

    target = { chosen = "good", rejected = "bad" }
    target = { first = "response1", second = "response2", better = "{annotator1} {annotator2}" }

``better`` holds one vote per word: 1, a or first for the first answer, 2, b or second for the
other; anything else (0, tie) is for neither. The majority decides.

Rows in the chat shapes that other trainers read need neither prompt nor target:

    {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
    {"prompt": [...], "chosen": [...], "rejected": [...]}      (TRL; the prompt may stand in both)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from metier.core.objective import TaskKind
from metier.core.types import Conversation, Json, Message, PreferenceTarget
from metier.sources.chats import read_turns
from metier.sources.types import RowError
from metier.sources.values import as_list, as_text

COMPLETION_TASKS: tuple[TaskKind, ...] = ("answer", "summarize", "compose", "chat")
CHOSEN, VOTED = {"chosen", "rejected"}, {"first", "second", "better"}
FIRST = {"1", "1.0", "a", "first", "left", "model_a", "response1"}
SECOND = {"2", "2.0", "b", "second", "right", "model_b", "response2"}


def read_pair(values: Mapping[str, Json]) -> tuple[Conversation, PreferenceTarget] | None:
    """Read a row in OpenAI's or TRL's chat shape of preferences; None for any other row.

    Raises RowError (bad_conversation, no_target, no_preference).
    """
    parts = _chat_parts(values)
    if parts is None:
        return None
    asked, first, second = (
        read_turns({"messages": part}, "openai") if part else () for part in parts
    )
    if not asked:  # both lists hold the prompt as well
        asked, other = first[:-1], second[:-1]
        if asked != other:
            raise RowError("bad_conversation", "the two conversations differ before the reply")
        first, second = first[-1:], second[-1:]
    chosen, rejected = (_one_reply(turns) for turns in (first, second))
    margin = _margin(values.get("margin"))
    return Conversation(asked), _preference(chosen, rejected, margin)


def _chat_parts(values: Mapping[str, Json]) -> tuple[Json, Json, Json] | None:
    outputs = [values.get(name) for name in ("preferred_output", "non_preferred_output")]
    asked = values.get("input")
    if isinstance(asked, Mapping) and all(isinstance(one, list) for one in outputs):
        return asked.get("messages"), outputs[0], outputs[1]
    outputs = [values.get(name) for name in ("chosen", "rejected")]
    if all(isinstance(one, list) and one and isinstance(one[0], Mapping) for one in outputs):
        return values.get("prompt"), outputs[0], outputs[1]
    return None


def _one_reply(turns: tuple[Message, ...]) -> str:
    if len(turns) != 1 or turns[0].role != "assistant":
        raise RowError("bad_conversation", "a preferred or other answer is not one reply")
    return turns[0].text


def is_preference(names: Iterable[str]) -> bool:
    """Whether a target table names two answers rather than fields."""
    found = set(names)
    return found - {"margin"} == CHOSEN or found == VOTED


def make_preference(cells: Mapping[str, Json]) -> PreferenceTarget:
    """Return which answer is preferred. Raises RowError (no_target, no_preference, bad_target).

    The margin is the cell of that name, or by how many votes it won.
    """
    if "better" in cells:
        first, second = as_text(cells["first"]), as_text(cells["second"])
        lead = _lead(cells["better"])
        if not lead:
            raise RowError("no_preference", "as many votes for one answer as for the other")
        return _preference(first, second, lead) if lead > 0 else _preference(second, first, -lead)
    return _preference(
        as_text(cells["chosen"]), as_text(cells["rejected"]), _margin(cells.get("margin"))
    )


def _lead(votes: Json) -> int:
    """Return by how many votes the first answer leads."""
    items = as_list(votes)
    words = re.split(r"[\s,;|]+", as_text(votes)) if items is None else map(as_text, items)
    given = [word.strip().casefold() for word in words]
    if not any(given):
        raise RowError("no_target", "nobody said which answer is better")
    return sum(word in FIRST for word in given) - sum(word in SECOND for word in given)


def _margin(cell: Json) -> float:
    if not as_text(cell).strip():
        return 1.0
    try:
        return float(as_text(cell))
    except ValueError as error:
        raise RowError("bad_target", f"margin {as_text(cell)!r:.60} is no number") from error


def _preference(chosen: str, rejected: str, margin: float) -> PreferenceTarget:
    if not (chosen.strip() and rejected.strip()):
        raise RowError("no_target", "one of the two answers is empty")
    if chosen.strip() == rejected.strip():
        raise RowError("no_preference", "the two answers are the same")
    return PreferenceTarget(chosen, rejected, float(margin))
