"""Runs of tokens that name something: from label scores to runs, and their ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from metier.privacy.names.lexicon import ENGLISH
from metier.privacy.names.tagger import KINDS, Array

PERSON, PLACE, ORGANISATION, TITLE, NATIONALITY, ADDRESS = range(len(KINDS))
_ABBREVIATIONS = frozenset(["jr", "sr", "inc", "ltd", "co", "corp", "st", "apt", "ul", "bros"])


class Run(NamedTuple):
    """Tokens ``first`` to ``after`` (exclusive); ``kind`` is an index into ``KINDS``."""

    first: int
    after: int
    kind: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens: where each lies, the word, what the lists know of it, and the text's mode
    (see ``features.mode``)."""

    text: str
    spans: list[tuple[int, int]]
    words: list[str]
    bits: list[int]
    mode: int


def decode(scores: Array, caution: float) -> list[Run]:
    """Return the runs of best labels in order; ``caution`` (nats) is taken off "no name"."""
    scores[:, 0] -= caution
    labels = scores.argmax(axis=1)
    if not labels.any():
        return []
    return list(_grouped(labels.tolist()))


def _grouped(labels: list[int]) -> Iterator[Run]:
    open_kind, first = -1, 0
    for n, label in enumerate([*labels, 0]):
        kind = -1 if label == 0 else (label - 1) // 2
        begins = kind >= 0 and (kind != open_kind or label % 2 == 1)
        if open_kind >= 0 and (kind != open_kind or begins):
            yield Run(first, n, open_kind)
        if begins:
            first = n
        open_kind = kind


def trimmed(tokens: Tokens, run: Run) -> Run | None:
    """Cut marks off the ends, but for the full stop of an abbreviation; None: nothing is left."""
    words, (first, after, kind) = tokens.words, run
    while first < after and not words[first][0].isalnum():
        first += 1
    while first < after and not words[after - 1][0].isalnum():
        after -= 1
    while kind == PERSON and after - first > 1 and _runs_on(tokens, after - 1):
        after -= 1
    if first == after:
        return None
    if after < len(words) and words[after] == "." and _abbreviates(words[after - 1], kind):
        after += 1
    return Run(first, after, kind)


def _runs_on(tokens: Tokens, last: int) -> bool:
    """Whether the last word is a small English one in a text with capitals: "Vasylenko hung"."""
    word = tokens.words[last]
    return tokens.mode == 0 and word.islower() and bool(tokens.bits[last] & ENGLISH)


def _abbreviates(word: str, kind: int) -> bool:
    if kind == TITLE:
        return len(word) < 5
    low = word.lower()
    return low in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and kind == PERSON)
