"""Names and codes in texts: what a reply must not bring up unless its source has it.

A name is a run of capitalised words that does not merely begin a sentence (Ada Lovelace, Oslo), or
a word with capitals inside (NASA, iPhone); a code is a word of letters and digits (E11.9, AB-123).
Rules, not a model: scripts without capitals have no names here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from metier.scoring.texts.quantities import quantities, words_of

_WORD = re.compile(r"[^\W_]+(?:[-'’./_][^\W_]+)*")
_CALENDAR = frozenset(
    [
        *("january", "february", "march", "april", "may", "june", "july", "august"),
        *("september", "october", "november", "december"),
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    ]
)


def codes(text: str) -> list[str]:
    """Return the words made of letters and digits, without those that are a number and a unit."""
    numbers = [(q.start, q.end) for q in quantities(text)]
    return [
        match.group()
        for match in _WORD.finditer(text)
        if _is_code(match.group()) and not any(a <= match.start() < b for a, b in numbers)
    ]


def names(sentence: str) -> list[str]:
    """Return the names in one sentence, in order; its first word counts only when it is plainly
    one (capitals inside, or another name follows)."""
    matches = list(_WORD.finditer(sentence))
    found: list[list[str]] = []
    last = -1
    for i, match in enumerate(matches):
        if not _is_name(match.group(), first=i == 0):
            continue
        joined = last == i - 1 and sentence[matches[i - 1].end() : match.start()] == " "
        if found and joined:
            found[-1].append(match.group())
        else:
            found.append([match.group()])
        last = i
    return [" ".join(words) for words in _with_first(found, matches)]


def _with_first(found: list[list[str]], matches: list[re.Match[str]]) -> list[list[str]]:
    """Take the sentence's first word into a name that follows it: "Ada Lovelace wrote"."""
    if len(matches) > 1 and found and found[0][0] == matches[1].group():
        first = matches[0].group()
        close = matches[1].start() - matches[0].end() == 1
        if close and first[:1].isupper() and first.lower() not in words_of("stopwords"):
            return [[first, *found[0]], *found[1:]]
    return found


def _is_code(word: str) -> bool:
    return any(c.isdigit() for c in word) and any(c.isalpha() for c in word)


def _is_name(word: str, *, first: bool) -> bool:
    plain = word.lower()
    if _is_code(word) or plain in words_of("stopwords") or plain in _CALENDAR:
        return False
    inside = any(c.isupper() for c in word[1:])
    if inside:
        return True
    return word[:1].isupper() and len(word) > 1 and not first


def bare(word: str) -> str:
    """Return a name or code as it is compared: case, hyphens and possessive dropped."""
    return re.sub(r"['’]s$", "", word.casefold()).replace("-", "")


class Known:
    """The words, codes and initials of a text, to look names up in."""

    def __init__(self, text: str) -> None:
        matches = [match.group() for match in _WORD.finditer(text)]
        self.words = {bare(word) for word in matches}
        self.words |= {bare(part) for word in matches for part in re.split(r"[-'’./_]", word)}
        self._initials = " ".join(word[0].casefold() for word in matches)

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return the names of ``wanted`` with a word that the text lacks, each once."""
        gone = [name for name in wanted if not all(self._has(part) for part in name.split())]
        return tuple(dict.fromkeys(gone))

    def _has(self, word: str) -> bool:
        plain = bare(word)
        if plain in self.words or plain.rstrip("s") in self.words:
            return True
        # HMO stands for "health maintenance organization"
        return word.isupper() and len(word) > 2 and " ".join(plain) in self._initials
