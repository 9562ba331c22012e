"""What names a device: network addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import chain

from metier.privacy.patterns.numbers import luhn
from metier.privacy.types import Finding

_IPV4 = re.compile(r"\d(?<![\d.].)\d{0,2}(?:\.\d{1,3}){3}(?![\d]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_VERSION = re.compile(r"(?:\bv|\bversion|\brelease|\bsection|§|\bchapter)\.?\s*$", re.IGNORECASE)


def ip_addresses(text: str) -> Iterator[Finding]:
    """Yield IPv4 and IPv6 addresses; not versions, nor numbers of sections."""
    for pattern in (_IPV4, _IPV6) if _COLONS.search(text) else (_IPV4,):
        for match in pattern.finditer(text):
            address = match.group()
            before = text[max(0, match.start() - 12) : match.start()]
            if not (any(char.isdigit() for char in address) and _is_address(address)):
                continue
            if not (_VERSION.search(before) or _is_numbering(address, before)):
                yield Finding(match.start(), match.end(), "ip")


def _is_numbering(address: str, before: str) -> bool:
    """Whether it numbers a section, as in a contract: at the start of a line, and small."""
    starts_line = not before.strip() or before.endswith(("  ", "\n", "\t"))
    return starts_line and ":" not in address and all(0 < int(n) < 32 for n in address.split("."))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return text.count(":") != 2 or len(text) > 6


_MAC = re.compile(
    r"[0-9A-Fa-f](?<![\w:-].)(?:[0-9A-Fa-f]([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
    r"|[0-9A-Fa-f]{3}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w:-])"
)
_PAIRS = re.compile(r"[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]|\.[0-9A-Fa-f]{4}\.")
_UUID = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])"
)
_IMEI = re.compile(r"\d(?<![\w.-].)(?:\d([- ])\d{6}\1\d{6}\1\d|\d{14})(?![\w-])")
_IMEI_CUE = re.compile(r"\bimei\b[^\d\n]{0,20}$", re.IGNORECASE)


def hardware(text: str) -> Iterator[Finding]:
    """Yield MAC addresses, UUIDs, and IMEIs in groups or after the word."""
    for match in _MAC.finditer(text) if _PAIRS.search(text) else ():
        yield Finding(match.start(), match.end(), "mac")
    if text.count("-") > 3:
        for match in _UUID.finditer(text):
            yield Finding(match.start(), match.end(), "uuid")
    for match in _IMEI.finditer(text):
        digits = "".join(char for char in match.group() if char.isdigit())
        cued = _IMEI_CUE.search(text, max(0, match.start() - 30), match.start())
        if cued or (match.group(1) and luhn(digits)):
            yield Finding(match.start(), match.end(), "imei")


_VIN = re.compile(r"[A-HJ-NPR-Z0-9](?<![\w-].)[A-HJ-NPR-Z0-9]{16}(?![\w-])")
_SMALL_VIN = re.compile(r"[a-hj-npr-z0-9](?<![\w-].)[a-hj-npr-z0-9]{16}(?![\w-])")
_VIN_CUE = re.compile(r"\b(?:vin|chassis|vehicle)\b[^\n]{0,30}$", re.IGNORECASE)
# ISO 3779, as 49 CFR 565.15(c) has it.
_VIN_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True))
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vins(text: str) -> Iterator[Finding]:
    """Yield vehicle identification numbers: a right check digit, or a cue before."""
    spelt = (_VIN, _SMALL_VIN) if "vin" in text or "chassis" in text else (_VIN,)
    for match in chain.from_iterable(pattern.finditer(text) for pattern in spelt):
        cued = _VIN_CUE.search(text, max(0, match.start() - 45), match.start())
        if any(char.isdigit() for char in match.group()) and (cued or vin_checks(match.group())):
            yield Finding(match.start(), match.end(), "vin")


def vin_checks(vin: str) -> bool:
    """Whether the check digit, the ninth character, is right (49 CFR 565.15(c))."""
    values = (int(char) if char.isdigit() else _VIN_VALUES[char] for char in vin.upper())
    rest = sum(value * weight for value, weight in zip(values, _VIN_WEIGHTS, strict=True)) % 11
    letters = sum(char.isalpha() for char in vin)
    return letters > 1 and vin[8].upper() == "0123456789X"[rest]
