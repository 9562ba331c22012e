"""Join the parts of an address: house number, street, flat, town, code, country."""

from __future__ import annotations

import re

from metier.privacy.types import Finding

_GLUE = re.compile(r"[\s,;>?*|]*(?:[A-Za-z]{2,3}[\s,;]+)?")
_MOST_GLUE = 9
_CORNER_BEFORE = re.compile(r"\b(?:the )?corner (?:of )?$", re.IGNORECASE)
_ZIP_AFTER = re.compile(
    r"[\s,]{1,4}(?:[A-Z]{2,3}[\s,]{1,4})?(?:[A-Z]{1,2}-)?\d{3,6}(?:[- ]\d{2,4})?\b(?![-.,/:]?\d)"
)
_HOUSE_AFTER = re.compile(r"[ ,]{1,2}\d{1,5}[A-Za-z]?\b(?![-.,/:%]?\d)")
_NUMBER_BEFORE = re.compile(r"(?<![\w./:+-])\d{1,6}[A-Za-z]?,?[ \t]{1,2}$")
_PARTS = frozenset({"street_address", "place"})


def join(text: str, found: list[Finding]) -> list[Finding]:
    """Return findings in order, with neighbouring parts of one address made one."""
    joined: list[Finding] = []
    for finding in found:
        last = joined[-1] if joined else None
        if last and _belong(text, last, finding):
            joined[-1] = Finding(last.start, max(last.end, finding.end), "street_address")
        else:
            joined.append(finding)
    return [_widened(text, f) if f.kind == "street_address" else f for f in joined]


def _belong(text: str, last: Finding, found: Finding) -> bool:
    kinds = {last.kind, found.kind}
    if "street_address" not in kinds or not kinds <= _PARTS:
        return False
    near = found.start - last.end <= _MOST_GLUE
    return near and _GLUE.fullmatch(text, last.end, found.start) is not None


def _widened(text: str, found: Finding) -> Finding:
    """Take in the house number before and the house number or code after."""
    before = _NUMBER_BEFORE.search(text, max(0, found.start - 9), found.start)
    before = before or _CORNER_BEFORE.search(text, max(0, found.start - 16), found.start)
    after = _ZIP_AFTER.match(text, found.end) or _HOUSE_AFTER.match(text, found.end)
    start = before.start() if before else found.start
    return Finding(start, after.end() if after else found.end, "street_address")
