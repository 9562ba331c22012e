"""Numbers in texts, with their units, made comparable.

    quantities("Take 0.5 g (or 1,000 mg) twice")   # mass 0.5, mass 1.0

Thousands separators are read (1,000; 1 000; 1.234,50), units are brought to one per dimension
(500 mg = 0.5 g), a unit after a range counts for both ends, clock times and ISO dates are numbers
of their own kind. Digits inside a code (E11.9, AB-123) are not numbers: ``entities`` has those.
Unit names are English; the tables are in ``english.toml``.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

BARE = ""
ABOUT_SHARE = 0.05
"""How far a number after "about" may be off, as a share of it."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number: ``value`` in the first unit of ``kind`` (english.toml); ``kind`` "" has no unit.

    ``start`` and ``end`` are its place in the text, ``text`` what stands there; ``about`` says
    that the text calls it approximate.
    """

    value: float
    kind: str
    text: str
    start: int
    end: int
    about: bool = False

    def equals(self, other: Quantity) -> bool:
        """Say whether both are the same number; one without a unit fits any unit.

        The unit-less one is compared with the other as written ("dose in mg: 500").
        """
        if self.kind != other.kind and BARE not in (self.kind, other.kind):
            return False
        near = ABOUT_SHARE if self.about or other.about else 1e-9
        if self.kind == other.kind:
            return math.isclose(self.value, other.value, rel_tol=near, abs_tol=1e-12)
        return math.isclose(self.written, other.written, rel_tol=near, abs_tol=1e-12)

    @property
    def written(self) -> float:
        """The number as it stands, before its unit is brought to the dimension's first."""
        found = _DIGITS.search(self.text)
        if self.kind in ("date", "clock") or found is None:
            return self.value
        return _number(found.group())


@cache
def english() -> dict[str, Any]:
    """Return the tables of ``english.toml``."""
    text = files("metier.scoring.texts").joinpath("english.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def words_of(name: str) -> frozenset[str]:
    """Return one of the word lists of ``english.toml``."""
    return frozenset(english()[name].split())


@cache
def _units() -> dict[str, tuple[str, float]]:
    """Unit as written, lower case -> (dimension, factor)."""
    return {
        name: (dimension, float(factor))
        for dimension, table in english()["units"].items()
        for names, factor in table.items()
        for name in names.split()
    }


def unit_of(name: str) -> tuple[str, float] | None:
    """Return (dimension, factor) of a unit as written, None for an unknown one.

    A quotient such as ``mg/dl`` is a dimension of its own.
    """
    over, slash, under = name.strip().lower().partition("/")
    first, second = _units().get(over.strip()), _units().get(under.strip())
    if not slash or first is None:
        return first
    return (f"{first[0]}/{second[0]}", first[1] / second[1]) if second else None


_PLAIN = (
    r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:[,'\u00a0\u202f]\d{3})+(?:\.\d+)?|"
    r"\d{1,3}(?: 000)+(?!\d)|\d+(?:[.,]\d+)?|\.\d+"
)
_DIGITS = re.compile(_PLAIN)
_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])")
_CLOCK = re.compile(r"(?<![\w:.])(\d{1,2}):(\d\d)(?!\d|:)\s?(am|pm|a\.m\.|p\.m\.)?", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?m)^[ \t]*\d{1,2}[.)](?=\s)")
_CITATION = re.compile(r"\[\d+(?:\s*[,;–-]\s*\d+)*\]")
_RANGE = re.compile(r"\s?(?:-|–|—|to|and|or|vs\.?|versus)\s?")


@cache
def _pattern() -> re.Pattern[str]:
    names = sorted((re.escape(n) for n in _units()), key=len, reverse=True)
    unit = "|".join(names)
    many = "|".join(english()["multipliers"])
    spelled = "|".join(english()["numbers"])
    return re.compile(
        rf"(?P<about>~\s?)?(?P<money>[$€£])?\s?(?<![\w.,])(?<![A-Za-z][-./:_])"
        rf"(?:(?P<sign>(?<![\w)])[-−])?(?P<digits>{_PLAIN})|\b(?P<word>{spelled})\b)"
        rf"(?P<ordinal>st|nd|rd|th)?"
        rf"(?:[\s-]?(?P<many>{many}|(?<=\d)(?:k|bn)(?![A-Za-z])))?"
        rf"(?:[\s\u00a0-]?(?P<unit>(?:{unit})(?:/(?:{unit}))?|per cent)(?![\w]))?",
        re.IGNORECASE,
    )


def without_marks(text: str) -> str:
    """Return ``text`` with list numbers and citation marks such as [2] blanked, places kept."""

    def blank(found: re.Match[str]) -> str:
        return " " * len(found.group())

    return _CITATION.sub(blank, _LIST_NUMBER.sub(blank, text))


def quantities(text: str, *, spelled: bool = True) -> list[Quantity]:
    """Return the numbers of a text in order.

    ``spelled`` takes written-out numbers ("five") everywhere; otherwise only before a unit.
    """
    rest, found = without_marks(text), []
    for pattern, read in ((_DATE, _date), (_CLOCK, _clock)):
        for match in pattern.finditer(rest):
            found.append(read(match))
            rest = rest[: match.start()] + " " * len(match.group()) + rest[match.end() :]
    for match in _pattern().finditer(rest):
        one = _read(match, rest, spelled)
        if one is not None:
            found.append(one)
    return _share_units(sorted(found, key=lambda q: q.start), rest)


def _date(match: re.Match[str]) -> Quantity:
    year, month, day = (int(part) for part in match.groups())
    value = float(year * 10_000 + month * 100 + day)
    return Quantity(value, "date", match.group(), match.start(), match.end())


def _clock(match: re.Match[str]) -> Quantity:
    hours, minutes = int(match[1]), int(match[2])
    half = (match[3] or "").lower()[:1]
    hours = hours % 12 + 12 if half == "p" else hours % 12 if half == "a" else hours
    value = float(hours * 60 + minutes)
    return Quantity(value, "clock", match.group().rstrip(), match.start(), match.end())


def _read(match: re.Match[str], text: str, spelled: bool) -> Quantity | None:
    digits, word, unit = match["digits"], match["word"], match["unit"]
    after = text[match.end() : match.end() + 1]
    if digits and not unit and (after.isalpha() or after == "_"):
        return None  # 3D, 4x, 2b: a name, not a number
    if word and not unit and not match["many"] and (not spelled or word.lower() == "one"):
        return None
    value = _number(digits) if digits else float(english()["numbers"][word.lower()])
    value *= _many(match["many"])
    kind, factor = _kind(match["money"], unit)
    if match["sign"]:
        value = -value
    start = match.start("digits") if digits else match.start("word")
    begin = match.start("money") if match["money"] else start
    written = text[begin : match.end()].strip()
    return Quantity(value * factor, kind, written, begin, match.end(), _is_about(match, text))


def _many(written: str | None) -> float:
    short = {"k": 1e3, "bn": 1e9}
    if not written:
        return 1.0
    return short.get(written.lower()) or float(english()["multipliers"][written.lower()])


def _kind(money: str | None, unit: str | None) -> tuple[str, float]:
    if money:
        return unit_of(money) or (BARE, 1.0)
    if not unit:
        return BARE, 1.0
    return unit_of("percent" if unit.lower() == "per cent" else unit) or (BARE, 1.0)


def _is_about(match: re.Match[str], text: str) -> bool:
    before = text[: match.start()].rstrip().rpartition(" ")[2].lower().strip("(.,")
    return bool(match["about"]) or before in words_of("about")


def _number(digits: str) -> float:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", digits):
        return float(digits.replace(".", "").replace(",", "."))
    plain = re.sub(r"['\u00a0\u202f ]", "", digits)
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", plain):
        return float(plain.replace(",", ""))
    return float(plain.replace(",", "."))


def _share_units(found: Sequence[Quantity], text: str) -> list[Quantity]:
    """Give the first end of a range the unit of the second: "5-10 mg" is 5 mg and 10 mg."""
    shared = list(found)
    for i in range(len(shared) - 2, -1, -1):
        one, following = shared[i], shared[i + 1]
        unit = _DIGITS.sub("", following.text, count=1).strip(" -$€£")
        scale = unit_of("percent" if unit.lower() == "per cent" else unit) if unit else None
        if one.kind == BARE and scale and _RANGE.fullmatch(text[one.end : following.start]):
            shared[i] = replace(one, kind=scale[0], value=one.value * scale[1])
    return shared
