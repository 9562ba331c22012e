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


_DAY_MONTH = re.compile(
    rf"\b(?:on|dated|since|until|till|by|seen|visit|due|date|appointment)[: ]+"
    rf"({_MONTH_NUMBER}/{_DAY})(?![\w/%]|\.\d| ?mm)",
    re.IGNORECASE,
)
_MONTH_YEAR = re.compile(rf"(?<![\d/.-]){_MONTH_NUMBER}/(?:19|20)\d\d(?![\d/])")


def dates(text: str) -> Iterator[Finding]:
    """Yield dates more exact than a year, written in numbers."""
    for match in NUMERIC_DATE.finditer(text):
        yield Finding(match.start(), match.end(), "date")
    if "/" in text:
        for match in _DAY_MONTH.finditer(text):
            yield Finding(match.start(1), match.end(1), "date")
        for match in _MONTH_YEAR.finditer(text):
            yield Finding(match.start(), match.end(), "date")


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


_AGE_IN_WORDS = (
    r"(?:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|(?:a |one )hundred(?:[- ](?:and )?\w{3,9})?)"
)
_AGE = re.compile(
    rf"(?<![\w.,/-])(\d{{1,3}}|{_AGE_IN_WORDS})(?=[- ]?(?:(?:year|yr)s?\.?[- ](?:old|of age)|y/?o\b|y\.o\.))"
    rf"|\b(?:aged?|age of|age is|ages|age:)[: ]\s?(\d{{1,3}}|{_AGE_IN_WORDS})(?![\w+%/]|[.,:]\d)"
    r"|\b(?:just turn(?:s|ed)|i'?ll turn|will turn|turn(?:s|ed|ing)) (\d{1,3})(?![\w+%/°]|[.,:]\d| ?(?:degrees|percent|times|weeks|months|days|and))"
    r"|\bwhen (?:he|she|i|they|we) (?:was|were) (\d{1,3})(?![\w+%/]|[.,:]\d| ?(?:weeks|months|days|hours|minutes))"
    r"|\b(?:he|she|i)(?:'s|'m| is| am) (\d{2,3})(?=[.!?]|, | and |$)"
    r"|\b(?:her|his|their|my|the patient's) (?:early |mid[- ]?|late )?(90'?s|nineties)\b|\b(centenarian|nonagenarian|supercentenarian)s?\b",
    re.IGNORECASE,
)


def ages(text: str) -> Iterator[Finding]:
    """Yield the number of an age in years; in words from ninety on."""
    for match in _AGE.finditer(text):
        group = match.lastindex or 0
        number = match.group(group)
        if not number.isdigit() or int(number) < 126:
            yield Finding(match.start(group), match.end(group), "age")
