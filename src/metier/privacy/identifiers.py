"""Find and replace personal identifiers that have a recognisable form.

Patterns only: what is found are e-mail addresses, phone numbers, payment cards, IBANs, US social
security numbers, IP addresses, URLs that carry user data, and numbers after a cue word (order,
account, record, birth date, ...). **Names of people and places are not found**, nor anything that
only context gives away; text that went through here is not anonymous.

Each finder starts with a cheap test, so that text without digits, "@" or "://" costs next to
nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address

from metier.privacy.types import Finding

REGIONS = ("US", "GB", "CA", "AU", "IN", "DE", "FR")
"""Where a phone number written without country code may be from."""


def find_identifiers(text: str) -> list[Finding]:
    """Return the identifiers in ``text`` in order, without overlaps.

    Where two kinds claim the same characters, the first in the order of ``FINDERS`` has them.
    """
    has_digit = _DIGIT.search(text) is not None
    taken: list[Finding] = []  # in order of start, so that neighbours tell of overlaps
    for needs_digit, finder in FINDERS:
        if needs_digit and not has_digit:
            continue
        for found in finder(text):
            place = bisect_left(taken, found.start, key=_start)
            free_before = place == 0 or taken[place - 1].end <= found.start
            free_after = place == len(taken) or found.end <= taken[place].start
            if free_before and free_after:
                taken.insert(place, found)
    return taken


def _start(found: Finding) -> int:
    return found.start


def redact(text: str, findings: list[Finding] | None = None) -> tuple[str, list[Finding]]:
    """Replace each identifier by its placeholder, e.g. ``[EMAIL]``.

    Returns the new text and the findings, whose positions are those in the *original* text.
    ``findings`` are those to replace, where they were looked for (or chosen) before.
    """
    findings = find_identifiers(text) if findings is None else findings
    pieces, at = [], 0
    for found in findings:
        pieces += [text[at : found.start], f"[{found.kind.upper()}]"]
        at = found.end
    return "".join([*pieces, text[at:]]), findings


_DIGIT = re.compile(r"\d")
_URL = re.compile(r"(?i:https?|ftp)://[^\s<>\"'\])}]+")
_USERINFO = re.compile(r"://[^/?#\s]*@")
# Names and words are matched apart: one pattern for both would take quadratic time.
_QUERY_NAME = re.compile(r"[?&#;]([\w.-]+)=(?=[^&#;\s])")
_USER_NAME = re.compile(
    r"user|mail|token|session|password|passwd|secret|apikey|api_key|auth|phone"
    r"|customer|account|patient|^(?:pwd|sid|uid|key|sig|name|ssn|dob|code)$",
    re.IGNORECASE,
)


def _urls(text: str) -> Iterator[Finding]:
    if "://" not in text:
        return
    for match in _URL.finditer(text):
        url = match.group().rstrip(".,;:!?")
        if _USERINFO.search(url) or _carries_user_data(url):
            yield Finding(match.start(), match.start() + len(url), "url")


def _carries_user_data(url: str) -> bool:
    return any(_USER_NAME.search(name) for name in _QUERY_NAME.findall(url))


_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}$")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}")
_SPELT_OUT = re.compile(
    r"\b[\w.+-]{2,40}\s?[\[(]\s?at\s?[\])]\s?[\w-]{2,40}(?:\s?[\[(]\s?dot\s?[\])]\s?|\.)[a-z]{2,24}\b",
    re.IGNORECASE,
)


def _emails(text: str) -> Iterator[Finding]:
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text[max(0, at - 64) : at])
        domain = _DOMAIN.match(text, at + 1)
        if local and domain:
            name = local.group().lstrip("'*`{|~=/.")
            if name:
                yield Finding(at - len(name), domain.end(), "email")
        at = text.find("@", at + 1)
    if "at)" in text or "at]" in text or "AT)" in text or "at )" in text:
        for match in _SPELT_OUT.finditer(text):
            yield Finding(match.start(), match.end(), "email")


# In one run, in fours, or in the 4-6-4 and 4-6-5 of some issuers.
_CARD = re.compile(
    r"(?<![\d.,-])(?<!\d )[2-6]\d{3}(?:\d{9,15}|([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?"
    r"|[ -]\d{6}[ -]\d{4,5})(?![\d])"
)


def _cards(text: str) -> Iterator[Finding]:
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
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}"
    r"(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)


def _ibans(text: str) -> Iterator[Finding]:
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
_SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\d-])")


def _ssns(text: str) -> Iterator[Finding]:
    for match in _SSN.finditer(text):
        yield Finding(match.start(), match.end(), "ssn")


_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_VERSION = re.compile(r"(?:\bv|\bversion|\brelease|\bsection|§|\bchapter)\.?\s*$", re.IGNORECASE)


def _addresses(text: str) -> Iterator[Finding]:
    for pattern in (_IPV4, _IPV6) if ":" in text else (_IPV4,):
        for match in pattern.finditer(text):
            address = match.group()
            before = text[max(0, match.start() - 12) : match.start()]
            if not (_DIGIT.search(address) and _is_address(address)):
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


_PHONE = re.compile(
    r"(?<![\w.,:/$€£#-])(?:\+|00)?\(?\d[\d ().\-/\u00a0\u2011]{5,28}\d"
    r"(?: ?(?:x|ext\.?) ?\d{1,6})?(?!\w|[.,]\d)"
)
_PHONE_CUE = re.compile(
    r"\b(?:tel|telephone|phone|call|cell|mobile|fax|desk|office|dial|ring|text|sms|whatsapp|contact"
    r"|reach|answering|ph|number is|telefon|mobil|handy)\b[^\d\n]{0,25}\s?$",
    re.IGNORECASE,
)
_DAY, _MONTH_NUMBER = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_DATE = re.compile(
    rf"(?<!\d)(?<!\d[-/.])(?:(?:18|19|20)\d\d[-/.]{_MONTH_NUMBER}[-/.]{_DAY}"
    rf"|{_DAY}[-/.]{_MONTH_NUMBER}[-/.](?:\d{{4}}|\d{{2}})"
    rf"|{_MONTH_NUMBER}[-/.]{_DAY}[-/.](?:\d{{4}}|\d{{2}}))(?![-/.]?\d)"
)


def _phones(text: str) -> Iterator[Finding]:
    for match in _PHONE.finditer(text):
        before = text[max(0, match.start() - 45) : match.start()]
        cued = _PHONE_CUE.search(before) is not None
        for offset, number in _stretches(match.group()):
            if _reads_as_phone(number, cued):
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
    if digits < 7 or unclosed or _DATE.search(number):
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


_TOKEN = re.compile(
    r"(?<![\w@])#?(?=[A-Za-z-]{0,8}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[-/](?=[A-Za-z0-9])){3,29}"
    r"(?: \d{3,6}(?!\w)){0,5}(?![\w@])"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_FILLER = (
    r"(?:\s*(?:number|numbers|no\.?|nr\.?|num\.?|id|code|ref\.?|reference|#|is|was|:|=|-|of|the|my"
    r"|with|under))*\s*[\"'(]?$"
)
_CUES = tuple(
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


def _cued(text: str) -> Iterator[Finding]:
    for match in _TOKEN.finditer(text):
        token = match.group()
        if sum(char.isdigit() for char in token) < 4 or _YEAR.fullmatch(token):
            continue
        before = text[max(0, match.start() - 48) : match.start()]
        kind = next((kind for kind, cue in _CUES if cue.search(before)), None)
        if kind is not None:
            yield Finding(match.start(), match.end(), kind)


_BIRTH = re.compile(
    r"\b(?:dob|d\.o\.b\.?|date of birth|birth ?date|birthday|born(?: on)?)\b[\s:.]*"
    r"(?:is|was|on)?\s*$",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_ANY_DATE = re.compile(
    rf"{_DATE.pattern}|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH},? \d{{4}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}",
    re.IGNORECASE,
)


def _birth_dates(text: str) -> Iterator[Finding]:
    lowered = text.lower()
    if (
        "birth" not in lowered
        and "born" not in lowered
        and "dob" not in lowered
        and "d.o.b" not in lowered
    ):
        return
    for match in _ANY_DATE.finditer(text):
        if _BIRTH.search(text[max(0, match.start() - 32) : match.start()]):
            yield Finding(match.start(), match.end(), "birth_date")


Finder = Callable[[str], Iterator[Finding]]
FINDERS: tuple[tuple[bool, Finder], ...] = (
    (False, _urls),
    (False, _emails),
    (True, _cards),
    (True, _ibans),
    (True, _ssns),
    (True, _birth_dates),
    (True, _addresses),
    (True, _cued),
    (True, _phones),
)
"""(whether it needs a digit, finder), in order of precedence."""
