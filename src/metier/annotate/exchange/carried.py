"""Carried: what metier knows of an item and another tool has no place for.

It travels in the tool's own field for metadata, as one block named "metier". Each answer in it has
the digest of how it was written in the tool's shape (``as``): one that somebody changed there in
the meantime is read from there, and what is carried of it no longer holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from metier.annotate.exchange.residue import mark
from metier.annotate.exchange.types import Answer, Exchanged, Suggestion
from metier.core.codec import from_json, to_json
from metier.core.types import Json

BLOCK = "metier"
ITEM = ("id", "role", "priority", "reasons", "settled")
TIMES = ("created_at", "answered_at")


@dataclass(frozen=True, slots=True)
class Rendition:
    """How an item reads in a tool's shape: its texts, answers by person, suggestions; without
    times and ids of the tool's own."""

    shown: Json
    answers: Mapping[str, Json]
    suggestions: Sequence[Json]


def block_of(item: Exchanged, there: Rendition) -> Json:
    """All of an item, with digests of how it reads in the tool's shape."""
    return {
        **{name: to_json(getattr(item, name)) for name in ITEM},
        "shown": to_json(item.shown),
        "shown_as": mark(there.shown),
        "answers": [
            {**_answer(one), "as": mark(there.answers.get(one.person))} for one in item.answers
        ],
        "suggestions": [
            {"value": one.value, "agent": one.agent, "score": to_json(one.score)}
            for one in item.suggestions
        ],
        "suggestions_as": mark(list(there.suggestions)),
    }


def _answer(one: Answer) -> dict[str, Json]:
    return {f.name: to_json(getattr(one, f.name)) for f in fields(one) if f.name != "kept"}


def own_block(found: Json) -> Mapping[str, Any] | None:
    """What stands under the block's name, where metier wrote it."""
    return found if isinstance(found, Mapping) and "shown_as" in found else None


def carried_over(read: Exchanged, block: Json, there: Rendition) -> Exchanged:
    """An item as read from the tool's shape, with what the block knows better, and without it.

    Raises ValueError (or a subclass), KeyError or TypeError for a block that metier did not write.
    """
    own = {name: from_json(_KINDS[name], block[name]) for name in ITEM}
    if block["shown_as"] == mark(there.shown):
        own["shown"] = from_json(_ANY, block["shown"])
    if block["suggestions_as"] == mark(list(there.suggestions)):
        own["suggestions"] = tuple(_suggestion(one) for one in block["suggestions"])
    own["metadata"] = {name: one for name, one in read.metadata.items() if name != BLOCK}
    return replace(read, **own, answers=_merged(block["answers"], read.answers, there))


def _merged(
    known: Sequence[Mapping[str, Any]], now: Sequence[Answer], there: Rendition
) -> tuple[Answer, ...]:
    """Carried answers, but for those that were changed or taken away since; then those that are
    new in the tool."""
    found: list[Answer] = []
    rest = {one.person: one for one in now}
    for one in known:
        answer = _read_answer(one)
        changed = rest.pop(answer.person, None)
        if one["as"] == mark(there.answers.get(answer.person)):
            found.append(replace(answer, kept=changed.kept if changed else None))
        elif changed is not None:
            found.append(changed)
    return (*found, *rest.values())


def _read_answer(one: Mapping[str, Any]) -> Answer:
    values = {name: one[name] for name in _ANSWER if name in one}
    for name in TIMES:
        if values.get(name) is not None:
            values[name] = datetime.fromisoformat(values[name])
    values["flags"] = tuple(values.get("flags", ()))
    return Answer(**values)


def _suggestion(one: Mapping[str, Any]) -> Suggestion:
    return Suggestion(one["value"], one["agent"], from_json(_SCORE, one["score"]))


_ANSWER = tuple(one.name for one in fields(Answer) if one.name != "kept")
_SCORE: Any = float | None
_ANY: Any = Any
_KINDS: dict[str, Any] = {
    "id": str,
    "role": str,
    "priority": int,
    "reasons": tuple[str, ...],
    "settled": Any,
}
