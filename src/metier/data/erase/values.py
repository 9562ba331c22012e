"""What only the erased rows say: words and phrases that no other row has.

A reply, a comment or an index may repeat what stood in an erased row. Such a copy is known by a
word that only the erased rows have (a name, a number) or by a run of words that only they have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from metier.core.types import Example, Json

PHRASE = 5
"""Words of a phrase; a text with fewer (but two) is one phrase."""
SHORTEST_WORD = 4
"""Characters from which a word counts: shorter ones are too often there by chance."""
SHORTEST_NEEDLE = 6
"""Bytes from which a word is looked for in files: shorter ones are found in any compressed data."""
_WORD = re.compile(r"\w(?:[\w@.+\-/]*\w)?")


@dataclass(frozen=True)
class OwnValues:
    """``words`` and ``phrases`` that only the erased rows have, case-folded; ``needles`` are the
    words, and phrases of the length ``PHRASE``, as they were written, as UTF-8, for looking through
    files."""

    words: frozenset[str]
    phrases: frozenset[tuple[str, ...]]
    needles: tuple[bytes, ...]

    def within(self, text: str) -> bool:
        """Whether a text repeats any of them."""
        words = _words(text)
        if not self.words.isdisjoint(words):
            return True
        lengths = {len(phrase) for phrase in self.phrases}
        return any(run in self.phrases for length in lengths for run in _runs(words, length))

    def scrubbed(self, value: Json, mark: str = "[erased]") -> Json:
        """Return a JSON value with every string that repeats one replaced by ``mark``."""
        match value:
            case str():
                return mark if self.within(value) else value
            case list():
                return [self.scrubbed(one, mark) for one in value]
            case dict():
                return {key: self.scrubbed(one, mark) for key, one in value.items()}
            case _:
                return value


def own_values(erased: Sequence[Example], others: Iterable[Example]) -> OwnValues:
    """Return what the erased examples say and none of the others does."""
    words: dict[str, str] = {}
    phrases: set[tuple[str, ...]] = set()
    stretches: dict[tuple[str, ...], str] = {}
    for text in (text for one in erased for text in texts_of(one)):
        for written in _WORD.findall(text):
            if len(written) >= SHORTEST_WORD:
                words.setdefault(written.casefold(), written)
        phrases |= _phrases(text)
        stretches |= _stretches(text)
    left = set(words)
    for text in (text for one in others for text in texts_of(one)):
        said = _words(text)
        left.difference_update(said)
        for length in {len(phrase) for phrase in phrases}:
            phrases.difference_update(_runs(said, length))
    written_so = [words[one] for one in left]
    written_so += [text for phrase, text in stretches.items() if phrase in phrases]
    needles = {one.encode("utf-8", "surrogatepass") for one in written_so}
    needles |= {dumps_ascii(one) for one in written_so}  # as in escaped JSON
    long_ones = tuple(sorted(one for one in needles if len(one) >= SHORTEST_NEEDLE))
    return OwnValues(frozenset(left), frozenset(phrases), long_ones)


def texts_of(example: Example) -> Iterator[str]:
    """Yield every text of an example: what was asked and what should be answered."""
    yield from (message.text for message in example.conversation.messages)
    yield from _strings(example.target)
    yield from (value for value in example.slices.values())


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _strings(getattr(value, name))


def _words(text: str) -> list[str]:
    return [one.casefold() for one in _WORD.findall(text)]


def _phrases(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    if 2 <= len(words) < PHRASE:
        return {tuple(words)}
    return set(_runs(words, PHRASE))


def _stretches(text: str) -> dict[tuple[str, ...], str]:
    """Return phrases that lie side by side in a text, as they are written there."""
    found = list(_WORD.finditer(text))
    pieces = {}
    for start in range(0, len(found) - PHRASE + 1, PHRASE):
        part = found[start : start + PHRASE]
        key = tuple(one.group().casefold() for one in part)
        pieces[key] = text[part[0].start() : part[-1].end()]
    return pieces


def dumps_ascii(text: str) -> bytes:
    """Return a text as it stands inside a JSON string that is written in ASCII."""
    return json.dumps(text)[1:-1].encode()


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(length)), strict=False)
