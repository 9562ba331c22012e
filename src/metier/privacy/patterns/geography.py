"""Places by form: post codes, counties, coordinates. Street addresses: ``addresses``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.patterns.addresses import STATES, UPPER
from metier.privacy.types import Finding

_STATE_ZIP = re.compile(
    rf"\b(?:{'|'.join(sorted(STATES))})\.?,? {{1,2}}(\d{{5}}(?:-\d{{4}})?)(?![\w-])"
)
_ZIP_CUE = re.compile(
    r"(?i:\b(?:zip|post(?:al)?)[ -]?code|\bzip|\bpostcode|\bplz|\bcep)(?i: (?:is|of|in|at))?\s?[:#=]?\s*"
    rf"((?:[A-Z]{{1,2}}-)?\d{{3,6}}(?:[ -]\d{{2,4}})?(?: [{UPPER}]{{2}})?"
    r"|[A-Za-z]{1,2}\d[A-Za-z\d]? ?\d[A-Za-z]{2}|[A-Za-z]\d[A-Za-z] ?\d[A-Za-z]\d)(?!\w)"
)
# Royal Mail (PAF, "Postcode format") and Canada Post: letters that never occur are left out.
_BRITISH = re.compile(
    r"\b(?:GIR 0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-HJKPSTUW\d]? \d[ABD-HJLNP-UW-Z]{2})\b"
)
_CANADIAN = re.compile(r"\b[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z] \d[ABCEGHJ-NPRSTV-Z]\d\b")


def post_codes(text: str) -> Iterator[Finding]:
    """Yield US ZIP codes after a state, any post code after a cue, British and Canadian ones."""
    for match in _STATE_ZIP.finditer(text):
        yield Finding(match.start(1), match.end(1), "zip_code")
    if (
        "zip" in (lowered := text.lower())
        or "post" in lowered
        or "plz" in lowered
        or "cep" in lowered
    ):
        for match in _ZIP_CUE.finditer(text):
            yield Finding(match.start(1), match.end(1), "zip_code")
    for pattern in (_BRITISH, _CANADIAN):
        for match in pattern.finditer(text):
            yield Finding(match.start(), match.end(), "zip_code")


_DECIMAL = re.compile(
    r"(?<![\d.])[+-]?\d{1,2}\.\d{3,10}°?\s?[NS]?,\s?[+-]?\d{1,3}\.\d{3,10}°?(?:\s?[EW]\b)?(?![\d.])"
)
_DEGREES = re.compile(
    r"(?<!\d)\d{1,2}\s?°\s?\d{1,2}\s?['′’]\s?(?:\d{1,2}(?:\.\d+)?\s?(?:[\"″”]|'')\s?)?[NS]"
    r",?\s?\d{1,3}\s?°\s?\d{1,2}\s?['′’]\s?(?:\d{1,2}(?:\.\d+)?\s?(?:[\"″”]|'')\s?)?[EW]"
)


def coordinates(text: str) -> Iterator[Finding]:
    """Yield latitude and longitude, decimal (three places or more) or in degrees and minutes."""
    for match in _DECIMAL.finditer(text):
        latitude, longitude = (
            float(re.sub(r"[^\d.]", "", part)) for part in match.group().split(",")
        )
        if latitude <= 90 and longitude <= 180:
            yield Finding(match.start(), match.end(), "coordinates")
    if "°" in text:
        for match in _DEGREES.finditer(text):
            yield Finding(match.start(), match.end(), "coordinates")


_COUNTY = re.compile(
    rf"\b[{UPPER}][\w'’-]+(?: [{UPPER}][\w'’-]+)? (?:County|Parish|Township|Precinct|Borough)\b"
    rf"|\b(?:County|Township|Precinct|Borough) of [{UPPER}][\w'’-]+"
)


def counties(text: str) -> Iterator[Finding]:
    """Yield counties, parishes, townships, precincts and boroughs with a name."""
    if (
        "ount" in text
        or "arish" in text
        or "ownship" in text
        or "recinct" in text
        or "oroug" in text
    ):
        for match in _COUNTY.finditer(text):
            yield Finding(match.start(), match.end(), "place")
