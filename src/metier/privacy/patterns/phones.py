"""Phone numbers: written in the way of some country, or after a cue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from metier.privacy.patterns.dates import NUMERIC_DATE
from metier.privacy.types import Finding

REGIONS = ("US", "GB", "CA", "AU", "IN", "DE", "FR")
"""Where a phone number written without country code may be from."""
FEWEST_DIGITS = 7
"""Shorter numbers are extensions and emergency lines."""


_PHONE = re.compile(
    r"[+(\d](?<![\w.,:/$€£#-].)(?:(?<=\+)\(?\d|(?<=\()\d|(?<=\d))[\d ().\-/\u00a0\u2011]{5,28}\d"
    r"(?: ?(?:x|ext\.?) ?\d{1,6})?(?!\w|[.,]\d)"
)
_PHONE_CUE = re.compile(
    r"\b(?:tel|telephone|phone|call|cell|mobile|fax|desk|office|dial|ring|text|sms|whatsapp|contact"
    r"|reach|answering|ph|number is|telefon|mobil|handy)\b[^\d\n]{0,25}\s?$",
    re.IGNORECASE,
)
_WIDE_CUE = re.compile(
    r"\b(?:(?:messages?|texts?|calls?|faxes) (?:to|at|on|from)"
    r"|(?:phone|contact|mobile|cell) ?(?:number|no\.?|#)?)"
    r"[\s:]{0,3}$",
    re.IGNORECASE,
)
_NOTATION = re.compile(
    r"(?:\+?1[-. ]?)?(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?: ?(?:x|ext\.?) ?\d{1,6})?"
)


def phones(text: str, wide: bool = False) -> Iterator[Finding]:
    """Yield phone numbers; ``wide``: also those of no range in use, where the notation tells."""
    for match in _PHONE.finditer(text):
        if sum(map(str.isdigit, match.group())) < FEWEST_DIGITS:
            continue
        before = text[max(0, match.start() - 45) : match.start()]
        cued = _PHONE_CUE.search(before) is not None
        cued = cued or (wide and _WIDE_CUE.search(before) is not None)
        for offset, number in _stretches(match.group()):
            if _reads_as_phone(number, cued) or (wide and _NOTATION.fullmatch(number)):
                start = match.start() + offset
                start -= text[start - 1 : start] == "("
                yield Finding(start, match.start() + offset + len(number), "phone")
                break


def _stretches(candidate: str) -> Iterator[tuple[int, str]]:
    """Yield a run of digit groups whole, then those stretches of it that hold together by
    themselves (no blank inside, or a country code first): other numbers may stand beside it."""
    yield 0, candidate
    blanks = [index for index, char in enumerate(candidate) if char == " "]
    for start in [0, *(index + 1 for index in blanks)]:
        piece = candidate[start:].split(" ")[0]
        if piece != candidate and any(mark in piece for mark in "-.+"):
            yield start, piece
        if start and candidate[start] in "+(":
            yield start, candidate[start:]


def _reads_as_phone(number: str, cued: bool) -> bool:
    digits = sum(char.isdigit() for char in number)
    unclosed = number.count("(") > number.count(")")
    if digits < FEWEST_DIGITS or unclosed or NUMERIC_DATE.search(number):
        return False
    sure = cued or number.startswith(("+", "00"))
    return (sure or _written_as_phone(number, digits)) and _is_phone(number, sure)


def _written_as_phone(number: str, digits: int) -> bool:
    """Whether the notation tells: separate groups and the trunk 0, brackets or ten digits."""
    grouped = any(char in " ().-/\u00a0\u2011" for char in number)
    return grouped and digits >= 9 and (number[0] in "0(" or digits >= 10)


@lru_cache(maxsize=20_000)
def _is_phone(number: str, sure: bool) -> bool:
    """Whether a number of this length can be dialled somewhere; unless ``sure`` that it is meant
    as one, it must also lie in a range that is in use."""
    import phonenumbers

    if number.startswith("00"):
        number = "+" + number[2:]
    accepts = phonenumbers.is_possible_number if sure else phonenumbers.is_valid_number
    for region in (None,) if number.startswith("+") else REGIONS:
        try:
            if accepts(phonenumbers.parse(number, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


_FAX = re.compile(r"\bfax\b[^\d\n]{0,25}$", re.IGNORECASE)


def phones_and_faxes(text: str) -> Iterator[Finding]:
    """Yield phone numbers, those after the word fax as such."""
    for found in phones(text, wide=True):
        fax = _FAX.search(text, max(0, found.start - 30), found.start + (text[found.start] == "("))
        yield Finding(found.start, found.end, "fax") if fax else found
