"""De-identification there and back.

What is asked goes to the model with placeholders in place of identifiers, as in training; where a
reply says ``[EMAIL]`` and the question held exactly one e-mail address, the client gets that
address back. With two different ones nobody can tell which is meant, so the placeholder stays.

    cleaned = clean(conversation, True)      # "Write to [EMAIL]"
    restore("Sent to [EMAIL].", cleaned.originals, in_json=False)  # "Sent to mia@example.org."
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metier.core.codec import dumps
from metier.core.types import Conversation, Json, Part, Text
from metier.privacy import redact

_MARK = re.compile(r"\[[A-Z_]+\]")


@dataclass(frozen=True, slots=True)
class Removed:
    """One identifier that was taken out: of which text (number of the text part or of the reply,
    from 0), from which character to which of the original, its kind, and what it was."""

    place: int
    start: int
    end: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A conversation without its identifiers, and what they were. ``identify`` False: the
    conversation is as it came, and replies are left as they are too."""

    conversation: Conversation
    removed: tuple[Removed, ...]
    identify: bool

    @property
    def originals(self) -> dict[str, str]:
        """Placeholder -> original, for the kinds of which there was one distinct value, and no
        placeholder that somebody had written."""
        kinds: dict[str, list[str]] = {}
        for one in self.removed:
            kinds.setdefault(_placeholder(one.kind), []).append(one.text)
        text = self.conversation.text
        return {
            mark: texts[0]
            for mark, texts in kinds.items()
            if len(set(texts)) == 1 and text.count(mark) == len(texts)
        }

    def text(self, text: str) -> str:
        """A text without identifiers, for keeping."""
        return redact(text)[0] if self.identify else text

    def sealed(self, replies: Sequence[str]) -> bytes | None:
        """What is to be sealed beside a stored reply: all that was taken out; None: nothing."""
        said: list[Removed] = []
        if self.identify:
            for place, reply in enumerate(replies):
                said += _cut(place, reply)[1]
        if not self.removed and not said:
            return None
        found: Json = {"asked": list(self.removed), "replies": said}
        return dumps(found).encode("utf-8")


class Restorer:
    """Puts originals back into a text that comes in pieces.

    What may be the beginning of a placeholder is held back until it is clear. ``in_json``: the
    text is JSON, so what is put in is escaped.
    """

    def __init__(self, originals: Mapping[str, str], *, in_json: bool) -> None:
        self._originals = {
            mark: json.dumps(text, ensure_ascii=False)[1:-1] if in_json else text
            for mark, text in originals.items()
        }
        self.held = ""

    def feed(self, piece: str) -> str:
        """Return what of the text so far is certain and was not returned yet."""
        text = self.held + piece
        keep = self._open_end(text)
        self.held = text[len(text) - keep :]
        return self._put_back(text[: len(text) - keep])

    def rest(self) -> str:
        """Return what was held back; the text has ended."""
        text, self.held = self.held, ""
        return text

    def _put_back(self, text: str) -> str:
        """In one pass: what was put in is not looked through again."""
        return _MARK.sub(lambda mark: self._originals.get(mark.group(), mark.group()), text)

    def _open_end(self, text: str) -> int:
        """How many of the last characters may be the beginning of a placeholder."""
        start = text.rfind("[")
        end = text[start:] if start >= 0 else ""
        opens = any(mark.startswith(end) and mark != end for mark in self._originals)
        return len(end) if opens else 0


def clean(conversation: Conversation, identify: bool) -> Cleaned:
    """Take identifiers out of every turn (with ``identify`` False: none)."""
    if not identify:
        return Cleaned(conversation, (), False)
    removed: list[Removed] = []
    places = itertools.count()
    messages = []
    for message in conversation.messages:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, Text):
                text, found = _cut(next(places), part.text)
                removed += found
                part = replace(part, text=text)
            parts.append(part)
        messages.append(replace(message, parts=tuple(parts)))
    return Cleaned(Conversation(tuple(messages)), tuple(removed), True)


def restore(text: str, originals: Mapping[str, str], *, in_json: bool) -> str:
    """Put originals back into a whole text."""
    restorer = Restorer(originals, in_json=in_json)
    return restorer.feed(text) + restorer.rest()


def _cut(place: int, text: str) -> tuple[str, list[Removed]]:
    cut, findings = redact(text)
    return cut, [
        Removed(place, one.start, one.end, one.kind, text[one.start : one.end]) for one in findings
    ]


def _placeholder(kind: str) -> str:
    return f"[{kind.upper()}]"
