"""Dates: of birth."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.patterns.words_dates import date_at
from metier.privacy.types import Finding

_DAY, _MONTH_NUMBER = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
NUMERIC_DATE = re.compile(
    rf"(?<!\d)(?<!\d[-/.])(?:(?:18|19|20)\d\d[-/.]{_MONTH_NUMBER}[-/.]{_DAY}"
    rf"|{_DAY}[-/.]{_MONTH_NUMBER}[-/.](?:\d{{4}}|\d{{2}})"
    rf"|{_MONTH_NUMBER}[-/.]{_DAY}[-/.](?:\d{{4}}|\d{{2}}))(?![-/.]?\d)"
)


_BIRTH = re.compile(
    r"\b(?:dob|d\.o\.b\.?|date of birth|birth ?date|birthday|born(?: on)?)\b[\s:.]*"
    r"(?:is|was|on)?\s*$",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_ANY_DATE = re.compile(
    rf"{NUMERIC_DATE.pattern}|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH},? \d{{4}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}",
    re.IGNORECASE,
)


def birth_dates(text: str) -> Iterator[Finding]:
    """Yield dates with a year after a word of birth."""
    lowered = text.lower()
    if (
        "birth" not in lowered
        and "born" not in lowered
        and "dob" not in lowered
        and "d.o.b" not in lowered
    ):
        return
    for match in _ANY_DATE.finditer(text):
        if _BIRTH.search(text[max(0, match.start() - 32) : match.start()]):
            yield Finding(match.start(), match.end(), "birth_date")


_NUMERIC = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}")
_SLASHED = re.compile(r"\d(?<![\d/.-].)\d?/(?:\d{1,2}(?![\w/%]|\.\d| ?mm)|(?:19|20)\d\d(?![\w/]))")
_DAY_CUE = re.compile(
    r"\b(?:on|dated|since|until|till|by|seen|visit|due|date|appointment)[: ]+$", re.IGNORECASE
)
_DAY_MONTH = re.compile(rf"{_MONTH_NUMBER}/(?:{_DAY}|(?P<year>\d{{4}}))")


def dates(text: str) -> Iterator[Finding]:
    """Yield dates more exact than a year, written in numbers."""
    for near in _NUMERIC.finditer(text):
        match = NUMERIC_DATE.match(text, near.start())
        if match:
            yield Finding(match.start(), match.end(), "date")
    for near in _SLASHED.finditer(text) if "/" in text else ():
        match = _DAY_MONTH.fullmatch(text, *near.span())
        cued = _DAY_CUE.search(text, max(0, near.start() - 14), near.start())
        if match and (match["year"] or cued):
            yield Finding(*near.span(), "date")


_EXPIRY = re.compile(
    r"\b(?:exp(?:\.|iry|ires?|iration)?|valid (?:until|thru|through|to))"
    r"(?: date)?(?: is| on)?[: ]{1,3}"
    rf"({_MONTH_NUMBER}[/-]\d{{2}}(?:\d\d)?)(?![\w/-])",
    re.IGNORECASE,
)
_YEAR_MONTH = re.compile(r"\d(?<![\w./-].)\d{3}([-/])(?:0[1-9]|1[0-2])(?![\w/-]|\.\d)")
_QUARTER = re.compile(r"\b(?:Q[1-4][ /-]?(?:19|20)\d\d|(?:19|20)\d\d[ /-]?Q[1-4])\b")


def partial_dates(text: str) -> Iterator[Finding]:
    """Yield 2019-05, Q3 2019, and the month and year in which something expires."""
    for match in _YEAR_MONTH.finditer(text):
        if match.group()[:2] in ("19", "20"):
            yield Finding(match.start(), match.end(), "date")
    if "Q" in text:
        for match in _QUARTER.finditer(text):
            yield Finding(match.start(), match.end(), "date")
    if "xp" in text or "XP" in text or "alid" in text:
        for match in _EXPIRY.finditer(text):
            yield Finding(match.start(1), match.end(1), "date")


_BIRTH_CUE = re.compile(
    r"\b(?:dob|d\.o\.b\.?|date of birth|birth ?date|birthday|year of birth|born)\b[\s:.]*"
    r"(?:(?:is|was|on|in|the|circa|about) ){0,2}",
    re.IGNORECASE,
)
_BORN_YEAR = re.compile(r"(?:1[89]|20)\d\d(?![\d/-])")


def births(text: str) -> Iterator[Finding]:
    """Yield dates, and years, after a word of birth."""
    lowered = text.lower()
    if (
        "birth" not in lowered
        and "born" not in lowered
        and "dob" not in lowered
        and "d.o.b" not in lowered
    ):
        return
    for cue in _BIRTH_CUE.finditer(text):
        numeric = NUMERIC_DATE.match(text, cue.end()) or _BORN_YEAR.match(text, cue.end())
        end = numeric.end() if numeric else date_at(text, cue.end())
        if end:
            yield Finding(cue.end(), end, "birth_date")


_AGE_IN_WORDS = re.compile(
    r"\b(?:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|(?:a |one )hundred(?:[- ](?:and )?(?:one|two|three|four|five|six|seven|eight|nine|ten))?)"
    r"(?=[- ]?(?:years?|yrs?\.?)[- ](?:old|of age))"
    r"|\bnineties(?= )|\b(?:centenarian|nonagenarian|supercentenarian)",
    re.IGNORECASE,
)
_SMALL_NUMBER = re.compile(r"\d(?<![\w.,/-].)\d{0,2}(?![\w+%/°]|[.,:]\d|-\d)")
_NUMBER_UNIT = re.compile(
    r"\d(?<![\w.,/-].)\d{0,2}(?='?s\b|y/?o\b|y\.o\.|[- ]?(?:year|yr|y/?o\b|y\.o\.))"
)
_OLD = re.compile(r"[- ]?(?:(?:year|yr)s?\.?[- ](?:old|of age)|y/?o\b|y\.o\.)", re.IGNORECASE)
_AGED = re.compile(r"\b(?:aged?|age of|age is|ages|age:)[: ]\s?$", re.IGNORECASE)
_TURNED = re.compile(
    r"\b(?:turn(?:s|ed|ing)|(?:'|wi)ll turn|when (?:he|she|i|they|we|you) (?:was|were)) $",
    re.IGNORECASE,
)
_IS = re.compile(r"\b(?:he|she|i)(?:'s|'m| is| am) $", re.IGNORECASE)
_OTHER_UNIT = re.compile(
    r" ?(?:degrees|percent|times|weeks|months|days|hours|minutes|and|pounds|mg)", re.IGNORECASE
)
_DECADE = re.compile(r"\b(?:her|his|their|my|patient's) (?:early |mid[- ]?|late )?$", re.IGNORECASE)


def ages(text: str) -> Iterator[Finding]:
    """Yield the number of an age in years."""
    for match in _SMALL_NUMBER.finditer(text):
        if _is_age(text, match.start(), match.end()):
            yield Finding(match.start(), match.end(), "age")
    for match in _NUMBER_UNIT.finditer(text):
        start, end = match.span()
        decade = text[end : end + 1] in "'s" and _DECADE.search(text, max(0, start - 24), start)
        if int(match.group()) < 126 and (decade or _OLD.match(text, end)):
            yield Finding(start, end, "age")


def ages_in_words(text: str) -> Iterator[Finding]:
    """Yield ages from ninety on in words."""
    lowered = text.lower()
    if "ninet" in lowered or "hundred" in lowered or "narian" in lowered:
        for match in _AGE_IN_WORDS.finditer(text):
            yield Finding(match.start(), match.end(), "age")


def _is_age(text: str, start: int, end: int) -> bool:
    """Whether a number's words around it say that it is an age."""
    if int(text[start:end]) > 125:
        return False
    before = text[max(0, start - 24) : start]
    if before[-1:].isspace() or before[-1:] == ":":
        if _AGED.search(before):
            return True
        if _TURNED.search(before):
            return not _OTHER_UNIT.match(text, end)
        if end - start > 1 and _IS.search(before):
            return end == len(text) or text[end] in ".!?,"
    return _OLD.match(text, end) is not None
