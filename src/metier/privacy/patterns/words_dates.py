"""Dates with a month or a weekday in words.

A cheap search finds names of months and weekdays; the whole pattern is tried around these only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

# Besides English: German, French, Spanish, Italian, Dutch, Portuguese, where a day or a year stands
# beside the month.
_FOREIGN = (
    "januar|februar|märz|mai|juni|juli|oktober|dezember|janvier|février|mars|avril|juin|juillet|août"
    "|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto"
    "|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre"
    "|ottobre|dicembre|januari|februari|maart|mei|augustus|janeiro|fevereiro|março|maio|junho|julho"
    "|setembro|outubro|novembro|dezembro"
)
_ENGLISH = "january|february|march|april|may|june|july|august|september|october|november|december"
_SHORT = r"(?:jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)\b\.?"
_MONTH = rf"(?:{_ENGLISH}|{_FOREIGN}|{_SHORT})"
_WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_BEFORE = rf"(?:(?:{_WEEKDAY}s?|mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)\.?,? (?:the )?)?"
_DAY = r"(?<!\d)(?<![\d.]\.)(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1[5-9]|20)\d\d(?!\d)"
_DATE = re.compile(
    rf"{_BEFORE}(?:"
    rf"{_DAY}(?:st|nd|rd|th|[.º])?(?:[ -](?:day )?(?:of |de )?)?{_MONTH}(?![^\W\d_])"
    rf"(?:,? (?:de |of )?{_YEAR}|[ -]{_YEAR}|-\d\d\b| ?['’]\d\d\b)?"
    rf"|{_MONTH}[ -]{_DAY}(?:st|nd|rd|th)?\b(?:[-–]\d\d?\b)?(?:[,.]? {_YEAR}|(?!\w|[%/:]|[.,]\d| ?(?:mg|ml|%|times)))"
    rf"|{_MONTH},?[ -](?:of )?{_YEAR}|{_MONTH} ?['’]\d\d\b)"
    rf"|{_WEEKDAY}",
    re.IGNORECASE,
)
_NAME = re.compile(
    rf"(?<![^\W\d_])(?:{_WEEKDAY}|{_ENGLISH}|{_FOREIGN}|{_SHORT})(?:(?=s\b)|(?![^\W\d_]))",
    re.IGNORECASE,
)
_ALONE = re.compile("January|February|April|June|July|August|September|October|November|December")
_MAY_MARCH = re.compile(
    r"\b(?:in|of|since|last|next|this|early|late|mid|until|till|by|through|every|during|around)[ -]$",
    re.IGNORECASE,
)
_REACH = 28
"""Characters before a month that may belong to its date: a weekday, a day."""


def dates_in_words(text: str) -> Iterator[Finding]:
    """Yield dates with a month or weekday; May and March alone only after in, since and the like."""
    done = 0
    for name in _NAME.finditer(text):
        if name.start() < done:
            continue
        found = _DATE.search(text, max(done, name.start() - _REACH), name.end() + 24)
        if found and found.end() > name.start() and not _is_verb(text, name, found):
            yield Finding(found.start(), found.end(), "date")
            done = found.end()
        elif _stands_alone(text, name):
            yield Finding(name.start(), name.end(), "date")
            done = name.end()


def date_at(text: str, at: int) -> int | None:
    """Return where a date in words that begins at ``at`` ends."""
    found = _DATE.match(text, at, at + 48)
    return found.end() if found else None


def _is_verb(text: str, name: re.Match[str], found: re.Match[str]) -> bool:
    """Whether it reads as the verb: may, march, in small letters with no year."""
    if name.group() not in ("may", "march", "mar"):
        return False
    return not re.search(r"\d{4}|\d(?:st|nd|rd|th)", found.group())


def _stands_alone(text: str, name: re.Match[str]) -> bool:
    word = name.group()
    if word in ("May", "March"):
        return _MAY_MARCH.search(text, max(0, name.start() - 12), name.start()) is not None
    return _ALONE.fullmatch(word) is not None
