"""The bundled lists: which names, places and common words a word may be.

``lists.txt.xz`` is made by ``runs/train_tagger.py lists``; its first line states the sources and
their licences. Membership is by single word ("New" and "York" each belong to a city), in any case.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

GIVEN, SURNAME, COMMON_GIVEN, CITY, CITY_PART, COUNTRY, COUNTRY_PART, STATE, NATIONALITY = (
    1 << n for n in range(9)
)
TITLE, ORG_WORD, STREET_WORD, MONTH, KIN, EPONYM, EPONYM_NOUN = (1 << n for n in range(9, 16))
FREQUENT, USUAL, KNOWN, RARE = (1 << n for n in range(16, 20))
"""What a word may be, as bits; the last four: its rank among English words (first 1,000, 5,000,
15,000, rest)."""
NAMES = GIVEN | SURNAME | COMMON_GIVEN
PLACES = CITY | CITY_PART | COUNTRY | COUNTRY_PART | STATE
ENGLISH = FREQUENT | USUAL | KNOWN | RARE

_WHOLE = {
    "given": GIVEN,
    "surname": SURNAME,
    "common_given": COMMON_GIVEN,
    "city": CITY,
    "country": COUNTRY,
    "nationality": NATIONALITY,
    "title": TITLE,
    "orgword": ORG_WORD,
    "streetword": STREET_WORD,
    "month": MONTH,
    "kin": KIN,
    "eponym": EPONYM,
    "eponym_noun": EPONYM_NOUN,
}
_PART = {"city": CITY_PART, "country": COUNTRY_PART, "surname": SURNAME, "given": GIVEN}
_RANKS = ((1_000, FREQUENT), (5_000, USUAL), (15_000, KNOWN), (1_000_000, RARE))


@lru_cache(maxsize=1)
def lists() -> dict[str, list[str]]:
    """Return the bundled lists by section."""
    data = files("metier.privacy.names").joinpath("lists.txt.xz").read_bytes()
    sections: dict[str, list[str]] = {}
    for line in lzma.decompress(data).decode().split("\n")[1:]:
        if line.startswith("["):
            rows = sections.setdefault(line[1:-1], [])
        elif line:
            rows.append(line)
    return sections


@lru_cache(maxsize=1)
def bits_by_word() -> dict[str, int]:
    """Return lower-case word -> what it may be, for the words of every list."""
    found: dict[str, int] = {}
    for section, names in lists().items():
        if section in _WHOLE:
            for name in names:
                _add(found, name.lower().rstrip("."), _WHOLE[section], _PART.get(section, 0))
    for section in ("state", "region"):
        for name in lists()[section]:
            _add(found, name.lower(), STATE, STATE)
    for rank, word in enumerate(lists()["words"]):
        bit = next(bit for limit, bit in _RANKS if rank < limit)
        found[word] = found.get(word, 0) | bit
    return found


def _add(found: dict[str, int], name: str, whole: int, part: int) -> None:
    words = name.replace("-", " ").replace("'", " ").split()
    if len(words) == 1:
        found[words[0]] = found.get(words[0], 0) | whole
    elif part:
        for word in words:
            if len(word) > 1:
                found[word] = found.get(word, 0) | part


@lru_cache(maxsize=8)
def phrases(section: str) -> frozenset[str]:
    """Return a list's entries in lower case, whole."""
    return frozenset(name.lower() for name in lists()[section])


def matches(names: Iterable[str], text: str) -> bool:
    """Whether ``text`` in lower case is one of ``names``."""
    return " ".join(text.lower().split()) in names
