"""Dates: of birth."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
