"""Numbers after a cue word: account, record, order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

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


def classic_cued(text: str) -> Iterator[Finding]:
    """Yield numbers that stand after a cue word of the profile ``patterns``."""
    for match in _TOKEN.finditer(text):
        token = match.group()
        if sum(char.isdigit() for char in token) < 4 or _YEAR.fullmatch(token):
            continue
        before = text[max(0, match.start() - 48) : match.start()]
        kind = next((kind for kind, cue in _CLASSIC_CUES if cue.search(before)), None)
        if kind is not None:
            yield Finding(match.start(), match.end(), kind)
