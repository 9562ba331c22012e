"""What Safe Harbor lets stand of a date, an age, a ZIP code: 45 CFR 164.514(b)(2)(i)(B) and (C)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

# Three-digit ZIP areas of 20,000 people or fewer by the census of 2000, as the guidance of the US
# Department of Health and Human Services lists them: "Guidance Regarding Methods for
# De-identification of Protected Health Information", 26 November 2012, section 3.2.
RESTRICTED_ZIP3 = frozenset(
    "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893".split()  # noqa: SIM905
)
BORN_BY = 1940
"""A birth year up to this one tells of an age over 89 (true of every text written by 2029), so it
is not kept either."""
_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")
_NUMBER = re.compile(r"\d+")
_AGE = re.compile(r"(\d+)\+?(?:'?s\b)?")
_OVER_89_IN_WORDS = re.compile(r"ninet|hundred|centen|nonagen", re.IGNORECASE)


def year(text: str) -> str | None:
    """Return the four-digit year in a date, None where there is none."""
    found = _YEAR.search(text)
    return found.group() if found else None


def birth_year(text: str) -> str | None:
    """Return the year of birth, None where it is absent or tells of an age over 89."""
    found = year(text)
    return found if found and int(found) > BORN_BY else None


def over_89(text: str) -> str:
    """Return an age as it is up to 89; above, ``90+``."""
    if _OVER_89_IN_WORDS.search(text):
        return "90+"
    return _AGE.sub(lambda found: "90+" if int(found.group(1)[:6]) > 89 else found.group(), text)


def zip3(text: str) -> str | None:
    """Return a US ZIP code's first three digits (``00000`` digits where the area is too small) as
    e.g. ``208**``, ``000**``; None for any other post code."""
    digits = "".join(_NUMBER.findall(text))
    if len(digits) not in (5, 9) or any(char.isalpha() for char in text):
        return None
    area = digits[:3]
    return f"{'000' if area in RESTRICTED_ZIP3 else area}**"


GENERALISATIONS: Mapping[str, Callable[[str], str | None]] = {
    "year": year,
    "birth_year": birth_year,
    "over_89": over_89,
    "zip3": zip3,
}
"""Operator -> what stands in place of the identifier; None: redact it."""
