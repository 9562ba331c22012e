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
_DAYS = "mon|tues|wednes|thurs|fri|satur|sun"
_WEEKDAY = rf"(?:{_DAYS})day"
_BEFORE = rf"(?:(?:{_WEEKDAY}s?|mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)\.?,? (?:the )?)?"
_DAY = r"(?<!\d)(?<![\d.]\.)(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1[5-9]|20)\d\d(?!\d)"
_DATE = re.compile(
    rf"{_BEFORE}(?:"
    rf"{_DAY}(?:st|nd|rd|th|[.º])?(?:[ -](?:day )?(?:of |de )?)?{_MONTH}(?![^\W\d_])"
    rf"(?:,? (?:de |of )?{_YEAR}|[ -]{_YEAR}|-\d\d\b| ?['’]\d\d\b)?"
    rf"|{_MONTH}[ -]{_DAY}(?:st|nd|rd|th)?\b(?:[-–]\d\d?\b)?"
    rf"(?:[,.]? {_YEAR}|(?!\w|[%/:]|[.,]\d| ?(?:mg|ml|%|times)))"
    rf"|{_MONTH},?[ -](?:of )?{_YEAR}|{_MONTH}(?: ?['’]|-)\d\d\b)"
    rf"|{_WEEKDAY}s?",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+")
_NAMES = frozenset(
    f"{_ENGLISH}|{_FOREIGN}|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec".split("|")
) | {day + end for day in _DAYS.split("|") for end in ("day", "days")}
_NUMERAL = re.compile(r"\d")
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_ORDINALS = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth"
    "|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth"
    "|(?:twenty|thirty)[- ](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
)
_SPOKEN_YEAR = (
    rf"(?:two thousand|nineteen|twenty|eighteen)(?: hundred)?"
    rf"(?:(?: and)?[ -](?:(?:{_TENS})(?:[ -](?:{_ONES}))?|{_TEENS}|{_ONES}"
    rf"|o(?:h)?[ -](?:{_ONES})))?"
)
# As people say dates and transcripts have them: September first of nineteen ninety nine.
_SPOKEN = re.compile(
    rf",? (?:(?:the |on the )?(?:{_ORDINALS})(?:,? (?:of )?{_SPOKEN_YEAR})?"
    rf"|(?:of )?{_SPOKEN_YEAR})\b",
    re.IGNORECASE,
)
_ALONE = frozenset(
    month.capitalize() for month in _ENGLISH.split("|") if month not in ("may", "march")
)
_MAY_MARCH = re.compile(
    r"\b(?:in|of|since|last|next|this|early|late|mid|until|till|by"
    r"|through|every|during|around)[ -]$",
    re.IGNORECASE,
)
_REACH = 28
"""Characters before a month that may belong to its date: a weekday, a day."""


def dates_in_words(text: str) -> Iterator[Finding]:
    """Yield dates with a month or weekday; May and March alone only after in, since, last …."""
    done = 0
    for start, end in _names(text):
        if start < done:
            continue
        found = _around(text, done, start, end)
        if found:
            yield Finding(*found, "date")
            done = found[1]


def _names(text: str) -> list[tuple[int, int]]:
    """Return where names of months and weekdays stand, in order."""
    lowered = text.lower()
    there = _NAMES.intersection(_LETTERS.findall(lowered))
    if not there:
        return []
    if len(lowered) != len(text):  # a letter that gets longer; rare
        words = _LETTERS.finditer(text)
        return [word.span() for word in words if word.group().lower() in _NAMES]
    return sorted(span for name in there for span in _places(lowered, name))


def _places(text: str, name: str) -> Iterator[tuple[int, int]]:
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not (text[at - 1 : at].isalpha() or text[end : end + 1].isalpha()):
            yield at, end
        at = text.find(name, end)


def _around(text: str, done: int, start: int, end: int) -> tuple[int, int] | None:
    """Return the span of the date to which the name at ``start`` belongs."""
    word = text[start:end]
    if word.lower().rstrip("s").endswith("day") or _NUMERAL.search(
        text, max(0, start - 14), end + 8
    ):
        found = _DATE.search(text, max(done, start - _REACH), end + 24)
        if found and found.end() > start and not _is_verb(word, found.group()):
            return found.span()
    spoken = _SPOKEN.match(text, end)
    if spoken:
        return start, spoken.end()
    return (start, end) if _stands_alone(text, start, word) else None


def date_at(text: str, at: int) -> int | None:
    """Return where a date in words that begins at ``at`` ends."""
    found = _DATE.match(text, at, at + 48)
    return found.end() if found else None


def _is_verb(word: str, found: str) -> bool:
    """Whether it reads as the verb: may, march, in small letters with no year."""
    return word in ("may", "march", "mar") and not re.search(r"\d{4}|\d(?:st|nd|rd|th)", found)


def _stands_alone(text: str, start: int, word: str) -> bool:
    if word in ("May", "March"):
        return _MAY_MARCH.search(text, max(0, start - 12), start) is not None
    return word in _ALONE
