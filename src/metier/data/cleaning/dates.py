"""Dates as ISO 8601 (2021-03-12), where day and month cannot be mistaken.

``12 March 2021``, ``March 12th, 2021``, ``2021/03/12`` and ``25.12.2021`` change; ``03/04/2021``
(March or April?), years of two digits and days that do not exist stay as they are.
"""

from __future__ import annotations

import re
from datetime import date

from metier.data.cleaning.rules import Rule, cleaning_rules

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_NUMBER = {name: place for place, name in enumerate(_MONTHS, start=1)}
_NUMBER |= {name[:3]: place for name, place in _NUMBER.items()} | {"sept": 9}
_MONTH = "|".join(sorted(_NUMBER, key=len, reverse=True))
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"([12]\d{3})(?![\w]|[-/.]\d)"
_BEFORE = r"(?<![\w])(?<!\d[-/.,:])"
_DAY_FIRST = re.compile(rf"{_BEFORE}{_DAY}[ -](?:of )?({_MONTH})\b\.?,?[ -]{_YEAR}", re.I)
_MONTH_FIRST = re.compile(rf"{_BEFORE}({_MONTH})\b\.? {_DAY},? {_YEAR}", re.I)
_YEAR_FIRST = re.compile(rf"{_BEFORE}([12]\d{{3}})([/.])(\d{{1,2}})\2(\d{{1,2}})(?!\w|[-/.]\d)")
_NUMERIC = re.compile(rf"{_BEFORE}(\d{{1,2}})([-/.])(\d{{1,2}})\2{_YEAR}")
_YEARS = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")


def iso_dates(text: str) -> str:
    """Write the unambiguous dates of ``text`` as ISO 8601."""
    text = _DAY_FIRST.sub(lambda m: _iso(m, m[3], _NUMBER[m[2].lower()], m[1]), text)
    text = _MONTH_FIRST.sub(lambda m: _iso(m, m[3], _NUMBER[m[1].lower()], m[2]), text)
    text = _YEAR_FIRST.sub(lambda m: _iso(m, m[1], m[3], m[4]), text)
    return _NUMERIC.sub(_day_or_month, text)


def _day_or_month(match: re.Match[str]) -> str:
    first, second = int(match[1]), int(match[3])
    if first > 12 or first == second:
        return _iso(match, match[4], second, first)
    if second > 12 and match[2] == "/":  # months come first with slashes only
        return _iso(match, match[4], first, second)
    return match[0]


def _iso(match: re.Match[str], year: str | int, month: str | int, day: str | int) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return match[0]


@cleaning_rules.register("dates")
def dates() -> Rule:
    """Write unambiguous dates as ISO 8601."""
    return Rule("dates", iso_dates, lambda text: bool(_YEARS.search(text)))
