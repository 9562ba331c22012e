"""De-identification there and back.

What is asked goes to the model with placeholders in place of identifiers, as in training; where a
reply says ``[EMAIL]`` and the question held exactly one e-mail address, the client gets that
address back. With two different ones nobody can tell which is meant, so the placeholder stays.

    cleaned = clean(conversation, True)      # "Write to [EMAIL]"
    restore("Sent to [EMAIL].", cleaned.originals, in_json=False)  # "Sent to mia@example.org."

Under a profile with surrogates the model reads made names, drawn at random for this one request
and held in memory only; where the reply says one, the client gets the real one back.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from metier.core.codec import dumps
from metier.core.types import Conversation, Json, Part, Text
from metier.privacy import Finding, find_identifiers, redact
from metier.privacy.book import Book, rewritten, runs_of
from metier.privacy.operators import Operator, Redact
from metier.privacy.profiles import profile
from metier.privacy.replacing import edits_of, with_surrogates
from metier.privacy.settings import DeidentifyConfig
from metier.privacy.surrogates import Assigner, Draws, Needs, units_of

_WORD = re.compile(r"\w")

Identify = bool | DeidentifyConfig
"""True: the classic patterns, as placeholders; False: nothing; else what a data version went
through."""


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
    conversation is as it came, and replies are left as they are too. ``book`` holds the surrogates
    of this request."""

    conversation: Conversation
    removed: tuple[Removed, ...]
    identify: Identify
    book: Book = field(default_factory=Book)

    @property
    def originals(self) -> dict[str, str]:
        """What stands for it -> original: every surrogate, and the placeholders of kinds of which
        there was one distinct value, and no placeholder that somebody had written."""
        surrogates = {one.surrogate: one.original for one in self.book.entries()}
        kinds: dict[str, list[str]] = {}
        for one in self.removed:
            kinds.setdefault(_placeholder(one.kind), []).append(one.text)
        text = self.conversation.text
        return surrogates | {
            mark: texts[0]
            for mark, texts in kinds.items()
            if len(set(texts)) == 1 and text.count(mark) == len(texts)
        }

    def text(self, text: str) -> str:
        """A text without identifiers, for keeping."""
        return _cut(0, text, self.identify)[0] if self.identify else text

    def sealed(self, replies: Sequence[str]) -> bytes | None:
        """What is to be sealed beside a stored reply: all that was taken out; None: nothing."""
        said: list[Removed] = []
        if self.identify:
            for place, reply in enumerate(replies):
                said += _cut(place, reply, self.identify)[1]
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
        self._marks = _pattern(originals)
        self._longest = max(map(len, originals), default=0)
        self._before = ""  # the last character that was returned, as the model said it
        self.held = ""

    def feed(self, piece: str) -> str:
        """Return what of the text so far is certain and was not returned yet."""
        text = self.held + piece
        return self._given(text, len(text) - self._open_end(text))

    def rest(self) -> str:
        """Return what was held back; the text has ended."""
        return self._given(self.held, len(self.held))

    def _given(self, text: str, upto: int) -> str:
        """In one pass: what was put in is not looked through again."""
        at = len(self._before)
        context, end = self._before + text, at + upto
        pieces, done = [], at
        for found in self._marks.finditer(context, at) if self._marks else ():
            if found.start() >= end:
                break
            pieces += [context[done : found.start()], self._originals[found.group()]]
            done = found.end()
            end = max(end, done)
        pieces.append(context[done:end])
        self.held = context[end:]
        self._before = context[:end][-1:]
        return "".join(pieces)

    def _open_end(self, text: str) -> int:
        """How many of the last characters may be the beginning of what is replaced, or the whole of
        it where only the next character tells whether a word ends there."""
        for at in range(max(0, len(text) - self._longest), len(text)):
            end = text[at:]
            if any(mark.startswith(end) and _open(mark, end) for mark in self._originals):
                return len(end)
        return 0


def _open(mark: str, end: str) -> bool:
    return mark != end or _WORD.match(mark[-1]) is not None


def _pattern(originals: Mapping[str, str]) -> re.Pattern[str] | None:
    """Match what is to be replaced, the longest first; words whole only."""
    marks = sorted((mark for mark in originals if mark), key=len, reverse=True)
    if not marks:
        return None
    words = (
        (r"(?<!\w)" if _WORD.match(mark[0]) else "")
        + re.escape(mark)
        + (r"(?!\w)" if _WORD.match(mark[-1]) else "")
        for mark in marks
    )
    return re.compile("|".join(words))


def clean(conversation: Conversation, identify: Identify) -> Cleaned:
    """Take identifiers out of every turn (with ``identify`` False: none)."""
    if not identify:
        return Cleaned(conversation, (), False)
    book = _surrogates(conversation, identify)
    removed: list[Removed] = []
    places = itertools.count()
    messages = []
    for message in conversation.messages:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, Text):
                text, found = _cut(next(places), part.text, identify, book)
                removed += found
                part = replace(part, text=text)
            parts.append(part)
        messages.append(replace(message, parts=tuple(parts)))
    return Cleaned(Conversation(tuple(messages)), tuple(removed), identify, book)


def restore(text: str, originals: Mapping[str, str], *, in_json: bool) -> str:
    """Put originals back into a whole text."""
    restorer = Restorer(originals, in_json=in_json)
    return restorer.feed(text) + restorer.rest()


def _cut(
    place: int, text: str, identify: Identify, book: Book | None = None
) -> tuple[str, list[Removed]]:
    """Replace what is found; without a book, what has a surrogate becomes a placeholder, too."""
    if identify is True or identify is False or identify.is_plain:
        cut, findings = redact(text)
        places = [(one.start, one.end, one.kind) for one in findings]
    else:
        edits = edits_of(text, _find(text, identify), _table(identify), book or Book(), (b"", 0))
        cut = rewritten(text, [(one.start, one.end, one.new) for one in edits])
        places = [(one.start, one.end, one.kind) for one in edits]
    return cut, [Removed(place, *at, text[at[0] : at[1]]) for at in places]


def _surrogates(conversation: Conversation, identify: Identify) -> Book:
    """Draw surrogates for one request; its turns share them."""
    book = Book()
    if isinstance(identify, bool) or not identify.needs_vault:
        return book
    needs, words, table = Needs(), set[str](), _table(identify)
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                found = with_surrogates(_find(part.text, identify), table)
                needs.add(part.text, units_of(part.text, found))
                words |= runs_of(part.text)
    Assigner("request", book, words, Draws()).assign(needs)
    return book


def _find(text: str, settings: DeidentifyConfig) -> list[Finding]:
    return find_identifiers(text, profile(settings.profile).recognisers())


def _table(settings: DeidentifyConfig) -> dict[str, Operator]:
    """The operators of a request: what needs a key of the workspace, or a group, is redacted."""
    return {
        kind: Redact() if operator.type in ("hash", "shift") else operator
        for kind, operator in settings.table.items()
    }


def _placeholder(kind: str) -> str:
    return f"[{kind.upper()}]"
