"""Numbers after a cue word: account, record, order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

_DIGIT = re.compile(r"\d")
_TOKEN = re.compile(
    r"(?<![\w@])#?(?=[A-Za-z-]{0,8}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[-/](?=[A-Za-z0-9])){3,29}"
    r"(?: \d{3,6}(?!\w)){0,5}(?![\w@])"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_FILLER = (
    r"(?:\s*(?:number|numbers|no\.?|nr\.?|num\.?|id|code|ref\.?|reference|#|is|was|:|=|-|of|the|my"
    r"|with|under))*\s*[\"'(]?$"
)
_CLASSIC_CUES = tuple(
    (kind, re.compile(rf"\b(?:{words}){_FILLER}", re.IGNORECASE))
    for kind, words in (
        ("ssn", r"ssn|social security"),
        (
            "record_number",
            r"mrn|medical record|patient|chart|health plan|insurance|policy|member"
            r"|beneficiary|case|claim|accession|nhs",
        ),
        (
            "order_number",
            r"order|purchase|invoice|tracking|parcel|shipment|booking|reservation"
            r"|ticket|confirmation|transaction|delivery|receipt|serial",
        ),
        (
            "account_number",
            r"account|acct\.?|a/c|iban|sort code|routing|loan|contract|customer"
            r"|client|card|user",
        ),
        (
            "id_number",
            r"passport|licen[cs]e|driving licen[cs]e|driver'?s licen[cs]e|national id"
            r"|identity card|tax|vat|tin|vin|employee|student|registration|plate|pin",
        ),
    )
)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Yield what ``_TOKEN.finditer`` would, looking around digits only: every token has one among
    its first ten characters, and none is longer than 70."""
    done = 0
    for digit in _DIGIT.finditer(text):
        if digit.start() < done:
            continue
        first = max(done, digit.start() - 9)
        match = _TOKEN.search(text, first, digit.start() + 90)
        if match and match.start() <= digit.start():
            yield match
            done = match.end()


def classic_cued(text: str) -> Iterator[Finding]:
    """Yield numbers that stand after a cue word of the profile ``patterns``."""
    for match in _tokens(text):
        token = match.group()
        if sum(char.isdigit() for char in token) < 4 or _YEAR.fullmatch(token):
            continue
        before = text[max(0, match.start() - 48) : match.start()]
        kind = next((kind for kind, cue in _CLASSIC_CUES if cue.search(before)), None)
        if kind is not None:
            yield Finding(match.start(), match.end(), kind)


_WIDE_WORDS = (
    ("ssn", r"ssn|social security"),
    (
        "health_plan_number",
        r"health plan|insurance|policy|member|beneficiary|subscriber|medicaid|medicare|group",
    ),
    (
        "record_number",
        r"mrn|medical record|patient|chart|case|claim|accession|nhs|hospital|encounter|specimen"
        r"|admission|episode",
    ),
    ("plate", r"(?:licen[cs]e|number|registration) plate|plate|reg\.?"),
    ("vin", r"vin|chassis"),
    (
        "device_id",
        r"serial|s/n|sn|device|imei|udi|pacemaker|implant|lot|model|equipment|machine",
    ),
    (
        "licence_number",
        r"licen[cs]e|driving licen[cs]e|driver'?s licen[cs]e|certificate|certification"
        r"|dea|npi|permit",
    ),
    (
        "order_number",
        r"order|purchase|invoice|tracking|parcel|shipment|booking|reservation"
        r"|ticket|confirmation|transaction|delivery|receipt",
    ),
    (
        "account_number",
        r"account|acct\.?|a/c|iban|sort code|routing|loan|contract|customer|client|card|cc"
        r"|checking|savings",
    ),
    (
        "national_id",
        r"national id|identity card|tax|vat|tin|itin|ein|nino|national insurance|sin",
    ),
    (
        "id_number",
        r"passport|employee|student|registration|pin|badge|username|user|login|password|passcode"
        r"|otp|id|identifier|file|reference|ref\.?|docket|study|trial subject|subject|sample",
    ),
)
_WIDE_CUE = re.compile(
    r"\b(?:" + "|".join(f"(?P<{kind}>{words})" for kind, words in _WIDE_WORDS) + rf"){_FILLER}",
    re.IGNORECASE,
)
# Registers of studies, articles, genes: they name no person.
_PUBLIC = re.compile(
    r"(?:nct|rs|pmc|pmid|isbn|issn|doi|iso|chebi|go|omim|hgnc)[:-]?\d+$", re.IGNORECASE
)


# A few letters and a run of digits, as orders, members and cases are numbered: FH-204817, A123456.
_NUMBERED = re.compile(r"#?[A-Za-z]{1,5}(?:[-/]\d{5,}|\d{6,})(?:[-/]?[A-Za-z0-9]{1,4})?")


def cued(text: str) -> Iterator[Finding]:
    """Yield numbers after a cue word, and without one those that are long (nine digits in one run,
    ten letters and digits mixed) or written as orders and cases are numbered: FH-204817."""
    for match in _tokens(text):
        token = match.group()
        digits = sum(char.isdigit() for char in token)
        if digits < 4 or _YEAR.fullmatch(token):
            continue
        cue = _WIDE_CUE.search(text, max(0, match.start() - 48), match.start())
        kind = cue.lastgroup if cue else None
        if kind is None and _is_long(token, digits) and not _decimals(text, match.start()):
            kind = "id_number"
        if kind is not None:
            yield Finding(match.start(), match.end(), kind)


def _decimals(text: str, start: int) -> bool:
    """Whether digits before a point or comma make the token the rest of a number."""
    return text[start - 1 : start] in (".", ",") and text[start - 2 : start - 1].isdigit()


def _is_long(token: str, digits: int) -> bool:
    if _PUBLIC.match(token):
        return False
    letters = sum(char.isalpha() for char in token)
    if not letters:
        return digits >= 9 and token.isdigit()
    if _NUMBERED.fullmatch(token):
        return True
    return digits + letters >= 10 and max(map(len, re.findall(r"\d+", token))) >= 4


_PLATE = re.compile(
    r"\b(?i:licen[cs]e plate|number plate|registration plate|plate|vehicle registration|tag)s?"
    r"(?i:[ ]?(?:number|no\.?|#|is|was|:|=|reads|with)){0,3}[ :]+[\"'(]?"
    r"((?=[A-Z -]{0,6}\d)[A-Z0-9]{1,4}(?:[ -]?[A-Z0-9]{1,5}){1,2})(?!\w)"
)
_SWIFT = re.compile(
    r"\b(?i:swift|bic)(?:[ /](?i:swift|bic))?(?i:[ ]?(?:code|number|no\.?|is|:|=)){0,3} ?"
    r"([A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b"
)


def codes(text: str) -> Iterator[Finding]:
    """Yield plates and SWIFT codes after their cue word."""
    lowered = text.lower()
    if "plate" in lowered or " tag" in lowered or "vehicle reg" in lowered:
        for match in _PLATE.finditer(text):
            yield Finding(match.start(1), match.end(1), "plate")
    if "swift" in lowered or "bic" in lowered:
        for match in _SWIFT.finditer(text):
            yield Finding(match.start(1), match.end(1), "swift")
