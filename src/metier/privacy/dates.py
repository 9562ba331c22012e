"""Dates moved by a number of days, in the notation they were written in.

    >>> shifted("Monday, 4 March 2019", 28)
    'Monday, 1 April 2019'
    >>> shifted("03/12/19", 28)                       # month first, unless that cannot be
    '04/09/19'

A date without a year moves as in a year without a 29 February. Whole weeks keep weekdays right.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_NUMBER = {name[:3].lower(): number for number, name in enumerate(MONTHS, start=1)}
_WORD = r"(?P<m>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\.?"
_DAY = r"(?P<d>\d{1,2})(?P<th>st|nd|rd|th)?"
_YEAR = r"(?P<y>\d{4}|\d{2})"
_LAYOUTS = tuple(
    re.compile(rf"(?<![\d/.-]){layout}(?!\d)", re.IGNORECASE)
    for layout in (
        r"(?P<y>\d{4})([-/. ]?)(?P<m>\d{2})\2(?P<d>\d{2})",
        r"(?P<y>\d{4})([-/. ])(?P<m>\d{1,2})\2(?P<d>\d{1,2})",
        rf"(?P<a>\d{{1,2}})([-/. ])(?P<b>\d{{1,2}})\2{_YEAR}",
        rf"{_DAY}(?: of|[-,/])? ?{_WORD}[-,/ ]{{1,2}}{_YEAR}",
        rf"{_WORD}[- ]{_DAY},? {_YEAR}",
        rf"{_DAY}(?: of|-)? ?{_WORD}",
        rf"{_WORD}[- ]{_DAY}",
        rf"{_WORD},?[ -](?P<y>\d{{4}})",
        r"(?P<a>\d{1,2})([-/.])(?P<b>\d{1,2})",
    )
)
_MIDDLE = 15  # stands for the day of a date that has none
_ANY_YEAR = 2001  # stands for the year of a date that has none
_PIVOT = 50  # two-digit years below are of this century


def shifted(text: str, days: int) -> str | None:
    """Return the date in ``text`` moved by ``days``, all else as it was; None: no date is read."""
    for layout in _LAYOUTS:
        match = layout.search(text)
        if match is None:
            continue
        try:
            return _moved(text, match, days)
        except (ValueError, OverflowError):  # 31 February, the year 10,000
            continue
    return None


def _moved(text: str, match: re.Match[str], days: int) -> str:
    fields = _fields(match)
    read = date(_year(fields, match), _month(fields, match), _day(fields, match))
    written = _written(fields, match, read + timedelta(days=days))
    for name in sorted(written, key=match.start, reverse=True):
        start, end = match.span(name)
        text = text[:start] + written[name] + text[end:]
    return text


def _fields(match: re.Match[str]) -> dict[str, str]:
    """Return which group holds year, month and day."""
    groups = match.re.groupindex
    fields = {part: part for part in "ymd" if part in groups}
    if "a" in groups:  # month first, as in the United States, unless it cannot be
        day_first = int(match["a"]) > 12 or match[2] == "."
        fields |= {"d": "a", "m": "b"} if day_first else {"m": "a", "d": "b"}
    return fields


def _year(fields: dict[str, str], match: re.Match[str]) -> int:
    if "y" not in fields:
        return _ANY_YEAR
    year = int(match["y"])
    return year if len(match["y"]) == 4 else year + (2000 if year < _PIVOT else 1900)


def _month(fields: dict[str, str], match: re.Match[str]) -> int:
    month = match[fields["m"]]
    return int(month) if month.isdigit() else _NUMBER[month[:3].lower()]


def _day(fields: dict[str, str], match: re.Match[str]) -> int:
    return int(match[fields["d"]]) if "d" in fields else _MIDDLE


def _written(fields: dict[str, str], match: re.Match[str], moved: date) -> dict[str, str]:
    """Return the new text of each group, as wide as the old."""
    written = {}
    if "y" in fields:
        written["y"] = f"{moved.year:04}"[-len(match["y"]) :]
    month, numbers = match[fields["m"]], [match[fields[part]] for part in "md" if part in fields]
    width = 2 if all(len(one) == 2 for one in numbers) or numbers[-1].startswith("0") else 1
    word = None if month.isdigit() else _month_word(month, moved.month)
    written[fields["m"]] = word or str(moved.month).zfill(width)
    if "d" in fields:
        written[fields["d"]] = str(moved.day).zfill(width)
    if match.re.groupindex.get("th") and match["th"]:
        written["th"] = _ordinal(moved.day, match["th"])
    return written


def _month_word(before: str, month: int) -> str:
    # "May" is short and long at once: the long form is the commoner one.
    word = (
        MONTHS[month - 1] if len(before) > 4 or before.lower() in _LONG else MONTHS[month - 1][:3]
    )
    if before.isupper():
        return word.upper()
    return word.lower() if before.islower() else word


_LONG = frozenset({"may", "june", "july"})


def _ordinal(day: int, before: str) -> str:
    ending = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return ending.upper() if before.isupper() else ending
