"""Noise as people and scanners make it: keyboard slips, look-alike letters, case, abbreviations.

What is no plain word stays as it is: codes and doses (a digit anywhere between two spaces),
addresses, names of files, placeholders in brackets. A changed code would be another one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from metier.data.augment.config import NoiseKind

# Neighbours on a QWERTY keyboard (ISO/IEC 9995-3, the letters' rows).
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LOOKS = {
    "rn": "m", "m": "rn", "cl": "d", "d": "cl", "li": "h", "vv": "w", "w": "vv", "l": "I", "i": "l",
}  # fmt: skip
_SHORT = {
    "please": "pls", "thanks": "thx", "because": "bc", "you": "u", "are": "r", "your": "ur",
    "about": "abt", "with": "w/", "without": "w/o", "people": "ppl", "message": "msg",
    "tomorrow": "tmrw", "account": "acct", "number": "num", "approximately": "approx",
    "information": "info", "appointment": "appt", "weeks": "wks", "between": "betw",
}  # fmt: skip
# What must stay: [EMAIL], <name>, {slot}, and whatever has a digit, @, _, /, \\ or an inner dot.
_KEPT = re.compile(
    r"\[[^\]\n]*\]|<[^>\n]*>|\{[^}\n]*\}|\S*[\d@_/\\]\S*|[^\W\d_]+(?:[.:][^\W\d_]+)+"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
Change = Callable[[str, random.Random], str]


def noisy(text: str, kind: NoiseKind, rate: float, rng: random.Random) -> str:
    """Return ``text`` with noise of one kind; as it was where there is nothing to change.

    ``rate`` is the share of words that keyboard and ocr noise touch, at least one.
    """
    words = _words(text)
    if kind == "case":
        recased = rng.choice((str.lower, str.upper))
        return _put(text, words, recased)
    if kind == "abbreviations":
        return _put(text, words, lambda word: _SHORT.get(word.casefold(), word))
    change = _slip if kind == "keyboard" else _scan
    places = [(start, end) for start, end in words if end - start >= 3]
    if kind == "ocr":
        places = [span for span in places if any(look in text[slice(*span)] for look in _LOOKS)]
    if not places:
        return text
    touched = rng.sample(places, max(1, round(rate * len(places))))
    return _put(text, sorted(touched), lambda word: change(word, rng))


def _words(text: str) -> list[tuple[int, int]]:
    """Return where the plain words are."""
    found, at = [], 0
    for kept in (*_KEPT.finditer(text), None):
        end = len(text) if kept is None else kept.start()
        found += [match.span() for match in _WORD.finditer(text, at, end)]
        at = end if kept is None else kept.end()
    return found


def _put(text: str, places: list[tuple[int, int]], change: Callable[[str], str]) -> str:
    pieces, at = [], 0
    for start, end in places:
        pieces += [text[at:start], change(text[start:end])]
        at = end
    return "".join([*pieces, text[at:]])


def _slip(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word))
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    if kind == 2:
        return word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
    return word[:at] + _neighbour(word[at], rng) + word[at + 1 :]


def _neighbour(letter: str, rng: random.Random) -> str:
    for row in _ROWS:
        at = row.find(letter.lower())
        if at >= 0:
            found = rng.choice([row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)])
            return found.upper() if letter.isupper() else found
    return letter


def _scan(word: str, rng: random.Random) -> str:
    known = [look for look in _LOOKS if look in word]
    if not known:
        return word
    look = rng.choice(known)
    return word.replace(look, _LOOKS[look], 1)
