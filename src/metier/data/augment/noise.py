"""Noise as people and scanners make it: keyboard slips, look-alike letters, case, abbreviations.

Words with digits, in brackets (placeholders) or of one letter stay as they are: a changed code or
dose would be another one.
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
    "tomorrow": "tmrw", "before": "b4", "account": "acct", "number": "no.", "approximately": "ca.",
    "information": "info", "appointment": "appt", "patient": "pt", "weeks": "wks", "between": "btw",
}  # fmt: skip
_WORD = re.compile(r"(?<![\w\[])[^\W\d_]{2,}(?![\w\]])")
Change = Callable[[str, random.Random], str]


def noisy(text: str, kind: NoiseKind, rate: float, rng: random.Random) -> str:
    """Return ``text`` with noise of one kind; as it was where there is nothing to change.

    ``rate`` is the share of words that keyboard and ocr noise touch, at least one.
    """
    if kind == "case":
        return _recased(text, rng)
    if kind == "abbreviations":
        return _WORD.sub(lambda m: _SHORT.get(m.group().casefold(), m.group()), text)
    change = _slip if kind == "keyboard" else _scan
    places = [match.span() for match in _WORD.finditer(text) if len(match.group()) >= 3]
    if not places:
        return text
    touched = sorted(rng.sample(places, max(1, round(rate * len(places)))), reverse=True)
    for start, end in touched:
        text = text[:start] + change(text[start:end], rng) + text[end:]
    return text


def _recased(text: str, rng: random.Random) -> str:
    """Change the case of words; what stands in square brackets keeps its own."""
    change = rng.choice((str.lower, str.upper))
    return _WORD.sub(lambda match: change(match.group()), text)


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
