"""Swap: one value of a list for another, in question and answer alike.

swapper = Swapper({"product": ["Kettle 3", "Mixer X"]})
swapper.swapped(row, rng)
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from metier.core.codec import from_json, to_json
from metier.core.types import Conversation, Example, ExampleTarget, Json, Text


class Swapper:
    """Knows which values may stand for one another; where one holds another, the longer counts."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._homes = {
            value: list(dict.fromkeys(home))
            for home in values.values()
            for value in home
            if len(set(home)) > 1
        }
        longest_first = sorted(self._homes, key=lambda value: (-len(value), value))
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")

    def swapped(
        self, row: Example, rng: random.Random
    ) -> tuple[Conversation, ExampleTarget, str] | None:
        """Return conversation and target with every value swapped, and what a filter compares the
        new text with: the old one after the same swap. None: the row has no such value.

        Two values never become the same one where the list has enough.
        """
        found = list(dict.fromkeys(self._pattern.findall(row.conversation.text)))
        if not found or row.target is None:
            return None
        other: dict[str, str] = {}
        for one in found:
            rest = [value for value in self._homes[one] if value != one]
            fresh = [value for value in rest if value not in other.values() and value not in found]
            other[one] = rng.choice(fresh or rest)
        messages = [
            replace(
                turn,
                parts=tuple(
                    Text(self._in(part.text, other)) if isinstance(part, Text) else part
                    for part in turn.parts
                ),
            )
            for turn in row.conversation.messages
        ]
        kind, plain = type(row.target), to_json(row.target)
        target = from_json(
            kind, {k: v if k == "type" else self._deep(v, other) for k, v in plain.items()}
        )
        return Conversation(tuple(messages)), target, self._in(row.conversation.text, other)

    def _in(self, text: str, other: Mapping[str, str]) -> str:
        return self._pattern.sub(lambda match: other.get(match.group(), match.group()), text)

    def _deep(self, value: Json, other: Mapping[str, str]) -> Json:
        match value:
            case str():
                return self._in(value, other)
            case list():
                return [self._deep(one, other) for one in value]
            case dict():
                return {name: self._deep(one, other) for name, one in value.items()}
            case _:
                return value
