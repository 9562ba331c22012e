"""Places by form: post codes, counties, coordinates. Street addresses: ``addresses``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.patterns.addresses import STATE_NAMES, STATES, UPPER
from metier.privacy.types import Finding

# Patterns begin with a digit or letter class so that the engine can skip to it; what must not stand
# before is looked at afterwards.
_ZIP = re.compile(r"\d(?<![\w-].)\d{4}(?:-\d{4})?(?![\w-])")
_STATE = re.compile(r"(?<![^\W\d_])([A-Z]{2,3})\.?,? {1,2}$")
_ZIP_CUE = re.compile(
    r"(?i:\b(?:zip|post(?:al)?)[ -]?code|\bzip|\bpostcode|\bplz|\bcep)"
    r"(?i: (?:is|of|in|at))?\s?[:#=]?\s*"
    rf"((?:[A-Z]{{1,2}}-)?\d{{3,6}}(?:[ -]\d{{2,4}})?(?: [{UPPER}]{{2}})?"
    r"|[A-Za-z]{1,2}\d[A-Za-z\d]? ?\d[A-Za-z]{2}|[A-Za-z]\d[A-Za-z] ?\d[A-Za-z]\d)(?!\w)"
)
_ZIP_WORD = re.compile(r"zip|post-?(?:al)?[ -]?code|plz|cep", re.IGNORECASE)
# Royal Mail (PAF, "Postcode format") and Canada Post: letters that never occur are left out.
_BRITISH = re.compile(r"(?:GIR 0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-HJKPSTUW\d]? \d[ABD-HJLNP-UW-Z]{2})")
_BRITISH_END = re.compile(r" \d[ABD-HJLNP-UW-Z]{2}(?!\w)")
_CANADIAN = re.compile(
    r"\d(?<=[ABCEGHJ-NPRSTVXY].)(?<!\w..)[ABCEGHJ-NPRSTV-Z] \d[ABCEGHJ-NPRSTV-Z]\d(?!\w)"
)
_STATE_NAME = re.compile(r"([A-Z][a-z]+(?: [A-Z][a-z]+)?),? {1,2}$")


def _after_state(text: str, start: int) -> bool:
    """Whether the word before is a state, abbreviated or in full."""
    short = _STATE.search(text, max(0, start - 8), start)
    if short and short.group(1) in STATES:
        return True
    name = _STATE_NAME.search(text, max(0, start - 24), start)
    return name is not None and not STATE_NAMES.isdisjoint(
        (name.group(1), name.group(1).rpartition(" ")[2])
    )


def post_codes(text: str) -> Iterator[Finding]:
    """Yield US ZIP codes after a state, any post code after a cue, British and Canadian ones."""
    for match in _ZIP.finditer(text):
        if _after_state(text, match.start()):
            yield Finding(match.start(), match.end(), "zip_code")
    if _ZIP_WORD.search(text):
        for match in _ZIP_CUE.finditer(text):
            yield Finding(match.start(1), match.end(1), "zip_code")
    for match in _BRITISH_END.finditer(text):
        start = max(text.rfind(" ", 0, match.start()), text.rfind("\n", 0, match.start())) + 1
        start = max(start, match.start() - 5)
        while start < match.start() and not text[start].isalpha():
            start += 1
        if _BRITISH.fullmatch(text, start, match.end()):
            yield Finding(start, match.end(), "zip_code")
    for match in _CANADIAN.finditer(text):
        yield Finding(match.start() - 1, match.end(), "zip_code")


_DECIMAL = re.compile(
    r"\d(?<![\d.].)\d?\.\d{3,10}°?\s?[NS]?,\s?[+-]?\d{1,3}\.\d{3,10}°?(?:\s?[EW]\b)?(?![\d.])"
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
            signed = text[match.start() - 1 : match.start()] in ("+", "-")
            yield Finding(match.start() - signed, match.end(), "coordinates")
    if "°" in text:
        for match in _DEGREES.finditer(text):
            yield Finding(match.start(), match.end(), "coordinates")


_COUNTY = re.compile(
    rf"\b[{UPPER}][\w'’-]+(?: [{UPPER}][\w'’-]+)? (?:County|Parish|Township|Precinct|Borough)\b"
    rf"|\b(?:County|Township|Precinct|Borough) of [{UPPER}][\w'’-]+"
)
_COUNTY_WORD = re.compile(r"County|Parish|Township|Precinct|Borough")


def counties(text: str) -> Iterator[Finding]:
    """Yield counties, parishes, townships, precincts and boroughs with a name."""
    if _COUNTY_WORD.search(text):
        for match in _COUNTY.finditer(text):
            yield Finding(match.start(), match.end(), "place")
