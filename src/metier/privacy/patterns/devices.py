"""What names a device: network addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from metier.privacy.types import Finding

_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_VERSION = re.compile(r"(?:\bv|\bversion|\brelease|\bsection|§|\bchapter)\.?\s*$", re.IGNORECASE)


def ip_addresses(text: str) -> Iterator[Finding]:
    """Yield IPv4 and IPv6 addresses; not versions, nor numbers of sections."""
    for pattern in (_IPV4, _IPV6) if ":" in text else (_IPV4,):
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
