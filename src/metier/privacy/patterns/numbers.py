"""Numbers that carry a check digit or a fixed form: cards, IBANs, US social security numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

# In one run, in fours, or in the 4-6-4 and 4-6-5 of some issuers.
_CARD = re.compile(
    r"[2-6](?<![\d.,-].)(?<!\d .)\d{3}(?:\d{9,15}|([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?"
    r"|[ -]\d{6}[ -]\d{4,5})(?![\d])"
)


def cards(text: str) -> Iterator[Finding]:
    """Yield payment cards: the groups of an issuer, and a right check digit."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if 13 <= len(digits) <= 19 and luhn(digits) and len(set(digits)) > 1:
            yield Finding(match.start(), match.end(), "card")


def luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


_IBAN = re.compile(
    r"[A-Za-z](?<![A-Za-z0-9].)[A-Za-z]\d{2}(?: ?[A-Za-z0-9]{4}){2,7}"
    r"(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)


def ibans(text: str) -> Iterator[Finding]:
    """Yield IBANs whose check digits are right."""
    for match in _IBAN.finditer(text):
        # The pattern may run on into the next words; give them back one by one.
        end = match.end()
        while end > match.start() + 14:
            if iban_checks(text[match.start() : end]):
                yield Finding(match.start(), end, "iban")
                break
            end = text.rfind(" ", match.start(), end)


def iban_checks(text: str) -> bool:
    """Whether the check digits are right (ISO 13616: remainder 1 modulo 97)."""
    compact = text.replace(" ", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


# The numbers the US Social Security Administration never issues are left alone
# (https://www.ssa.gov/employer/randomization.html).
_SSN = re.compile(
    r"\d(?<![\d-].)(?:(?<=0)(?!00)|(?<=6)(?!66)|(?<![069]))"
    r"\d\d([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\d-])"
)


def ssns(text: str) -> Iterator[Finding]:
    """Yield US social security numbers of 3-2-4 digits that may have been issued."""
    for match in _SSN.finditer(text):
        yield Finding(match.start(), match.end(), "ssn")


_BITCOIN = re.compile(
    r"[13bB](?<![A-Za-z0-9].)(?:(?<=[13])[1-9A-HJ-NP-Za-km-z]{25,34}|(?<=[bB])[cC]1[02-9ac-hj-np-zAC-HJ-NP-Z]{11,71})(?![A-Za-z0-9])"
)
_ETHEREUM = re.compile(r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]{40}(?![A-Za-z0-9])")


def crypto_addresses(text: str) -> Iterator[Finding]:
    """Yield Bitcoin addresses whose check sum is right, and Ethereum addresses."""
    for match in _BITCOIN.finditer(text):
        if _is_bitcoin(match.group()):
            yield Finding(match.start(), match.end(), "crypto_address")
    if "0x" in text:
        for match in _ETHEREUM.finditer(text):
            yield Finding(match.start(), match.end(), "crypto_address")


def _is_bitcoin(address: str) -> bool:
    """Base58Check or Bech32 (BIP 173, and Bech32m of BIP 350 by its form alone)."""
    from stdnum import bitcoin

    return bool(bitcoin.is_valid(address)) or address.lower().startswith("bc1p")
