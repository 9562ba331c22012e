"""Tokens, and the hashed features of a word that the tagger reads.

A feature depends on the word alone, so a word's vector is computed once and kept; what stands
around it is the business of the convolutions (``tagger.py``).
"""

from __future__ import annotations

import re
from zlib import crc32

from metier.privacy.names import lexicon

ROWS = 1 << 16
"""Rows of the table that features are hashed into; the first ``MODES`` are kept for the modes."""
MODES = 3
_TOKEN = re.compile(r"[^\W\d_]+|\d+|\n\s*|[^\s\w]|_")
_LETTER_RUN = re.compile(r"[^\W\d_]")


def spans(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each token: a run of letters, of digits, of line breaks, or a mark."""
    return [match.span() for match in _TOKEN.finditer(text)]


def mode(text: str) -> int:
    """Return 0 for text with capitals and small letters, 1 for hardly any capital, 2 for capitals
    only: what a capital tells depends on it."""
    capitals = sum(map(str.isupper, text)) if len(text) < 400 else _capitals(text)
    if capitals == 0:
        return 1
    small = sum(map(str.islower, text[:4000]))
    return 2 if capitals > 4 * small else 0


def _capitals(text: str) -> int:
    return sum(map(str.isupper, text[:4000]))


_NAMED_WORDS = (
    lexicon.FREQUENT
    | lexicon.USUAL
    | lexicon.TITLE
    | lexicon.ORG_WORD
    | lexicon.STREET_WORD
    | lexicon.MONTH
    | lexicon.KIN
    | lexicon.EPONYM_NOUN
)


def identity(word: str) -> str | None:
    """Return the feature that names the word itself, for common words alone: any other word must
    read like one never seen."""
    low = word.lower()
    return f"w={low}" if lexicon.bits_by_word().get(low, 0) & _NAMED_WORDS else None


def spelling(word: str) -> list[str]:
    """Return features of the spelling: affixes, shape, script."""
    if word[0] == "\n":
        return ["break", "breaks" if word.count("\n") > 1 else "break1"]
    if word[0].isdigit():
        return ["digits", f"digits={min(len(word), 7)}"]
    if not _LETTER_RUN.match(word):
        return [f"mark={word}"]
    low, shape = word.lower(), _shape(word)
    found = [f"shape={shape}", f"length={shape[:2]}{min(len(word), 8)}"]
    if len(word) > 2:
        found += [f"p2={low[:2]}", f"s2={low[-2:]}", f"p3={low[:3]}", f"s3={low[-3:]}"]
    if len(word) > 4:
        found.append(f"s4={low[-4:]}")
    if not word.isascii():
        found.append(f"script={_script(word)}")
    return found


def membership(word: str) -> list[str]:
    """Return features of the lists the word is in; with how it is written."""
    if not word[0].isalpha():
        return []
    bits = lexicon.bits_by_word().get(word.lower(), 0)
    shape = _shape(word)[:2]
    found = [f"in={bits}", f"in={shape}{bits}"]
    found += [f"bit={n}" for n in range(20) if bits >> n & 1]
    return found


def row(feature: str) -> int:
    """Return the table row of a feature."""
    return MODES + crc32(feature.encode()) % (ROWS - MODES)


def rows(word: str) -> list[int]:
    """Return the table rows of all features of a word."""
    name = identity(word)
    parts = [*spelling(word), *membership(word)]
    return [row(feature) for feature in ([name, *parts] if name else parts)]


def _shape(word: str) -> str:
    if word.islower():
        return "x1" if len(word) == 1 else "xx"
    if len(word) == 1:
        return "X1" if word.isupper() else "o1"
    if word.isupper():
        return "X2" if len(word) < 4 else "XX"
    if word[0].isupper() and word[1:].islower():
        return "Xx"
    return "xX" if word[0].islower() else "mX" if any(map(str.isupper, word)) else "oo"


def _script(word: str) -> str:
    code = ord(max(word))
    blocks = ((0x250, "latin"), (0x400, "greek"), (0x530, "cyrillic"), (0x1E00, "other"))
    return next((name for limit, name in blocks if code < limit), "far")
