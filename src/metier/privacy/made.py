"""Made values: another of the same kind and shape, drawn from a random generator.

    made("phone", "+1 (212) 555-0100", Random(7))  # "+1 (804) 231-9967"

Gender of given names, layout and number of digits, check digits of cards and IBANs are kept; mail
goes to domains that nobody can own (RFC 2606), addresses on networks to ranges that are set aside
(RFC 2544, RFC 3849). Nothing here looks at data: whoever draws asks again until a value is free.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Literal

from metier.privacy.patterns.numbers import iban_checks, luhn

_TABLE = Path(__file__).with_name("made.toml")
Gender = Literal["female", "male", "other"]
Part = Literal["given_female", "given_male", "given_other", "family"]
DOMAINS = ("example.org", "example.com", "example.net")
_COMPOUND_FROM = 40  # draws of a short name before two are put together


@cache
def lists() -> Mapping[str, tuple[str, ...]]:
    """Return the word lists."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: tuple(words.split()) for name, words in table.items()}


@cache
def known(name: str) -> frozenset[str]:
    """Return a list as a set."""
    return frozenset(lists()[name])


def gender_of(given: str) -> Gender | None:
    """Return what a given name tells of gender; None: not known."""
    first = given.casefold().split("-")[0]
    if first in known("known_female") or first in known("given_female"):
        return "female"
    if first in known("known_male") or first in known("given_male"):
        return "male"
    return None


def name_part(part: Part, draw: Random, attempt: int) -> str:
    """Return a given or family name; after many attempts a double one."""

    def make() -> str:
        return _family(draw) if part == "family" else draw.choice(lists()[part]).capitalize()

    return make() if attempt < _COMPOUND_FROM else f"{make()}-{make()}"


def _family(draw: Random) -> str:
    return (draw.choice(lists()["family_first"]) + draw.choice(lists()["family_last"])).capitalize()


def _place(draw: Random) -> str:
    return (draw.choice(lists()["place_first"]) + draw.choice(lists()["place_last"])).capitalize()


def made(kind: str, text: str, draw: Random, attempt: int = 0) -> str:
    """Return a value of this kind in the shape of ``text``; names of people: ``name_part``."""
    return _MAKERS.get(kind, _same_shape)(text, draw, attempt)


def _same_shape(text: str, draw: Random, attempt: int) -> str:
    """Another digit for each digit, letter for letter; the first digit is 0 where it was."""
    return "".join(_another(char, at, draw) for at, char in enumerate(text))


def _another(char: str, at: int, draw: Random) -> str:
    if char.isdigit():
        return (
            char
            if char == "0" and at == 0
            else draw.choice("123456789" if not at else "0123456789")
        )
    if not char.isalpha():
        return char
    letters = string.ascii_uppercase if char.isupper() else string.ascii_lowercase
    return draw.choice(letters)


def _hexadecimal(text: str, draw: Random, attempt: int) -> str:
    digits = "0123456789ABCDEF" if text.upper() == text else "0123456789abcdef"
    return "".join(draw.choice(digits) if char in string.hexdigits else char for char in text)


_COUNTRY = re.compile(r"(?:\+|00)[\s(]*(?:[17](?!\d\d[\s-])|\d\d)")


def _phone(text: str, draw: Random, attempt: int) -> str:
    """The country code stays; a country is no identifier."""
    code = _COUNTRY.match(text)
    at = code.end() if code else 0
    return text[:at] + _same_shape(text[at:], draw, attempt)


def _card(text: str, draw: Random, attempt: int) -> str:
    """The issuer's first digit stays; the last one makes the check digit right."""
    places = [at for at, char in enumerate(text) if char.isdigit()]
    chars = list(text)
    for at in places[1:-1]:
        chars[at] = draw.choice(string.digits)
    return _with_check(chars, places[-1:], 10, lambda found: luhn(_digits(found)))


def _iban(text: str, draw: Random, attempt: int) -> str:
    """The country stays; check digits are made right."""
    places = [at for at, char in enumerate(text) if char.isalnum()]
    chars = list(text)
    for at in places[4:]:
        chars[at] = _another(chars[at], 1, draw)
    return _with_check(chars, places[2:4], 100, iban_checks)


def _with_check(
    chars: list[str], places: list[int], most: int, right: Callable[[str], bool]
) -> str:
    """Try the check digits at ``places`` until the value is right."""
    for number in range(most):
        for at, digit in zip(places, str(number).zfill(len(places)), strict=True):
            chars[at] = digit
        if right("".join(chars)):
            break
    return "".join(chars)


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _email(text: str, draw: Random, attempt: int) -> str:
    """As many parts before the @ as there were."""
    local = re.split(r"@|\(at\)|\[at\]", text)[0].strip()
    mark = next((mark for mark in "._-" if mark in local), "")
    words = [draw.choice(lists()["given_other"]), _family(draw).lower()]
    name = mark.join(words) if mark else words[1]
    return f"{name}{draw.randrange(10, 1000)}@{draw.choice(DOMAINS)}"


def _domain(text: str, draw: Random, attempt: int) -> str:
    start = "www." if text.lower().startswith("www.") else ""
    return f"{start}{_place(draw).lower()}{draw.randrange(10, 1000)}.{draw.choice(DOMAINS)}"


def _url(text: str, draw: Random, attempt: int) -> str:
    scheme = text.split("://", 1)[0] if "://" in text else "https"
    return f"{scheme}://{draw.choice(DOMAINS)}/{_place(draw).lower()}{draw.randrange(10, 10_000)}"


def _handle(text: str, draw: Random, attempt: int) -> str:
    return f"@{_family(draw).lower()}{draw.randrange(10, 1000)}"


def _ip(text: str, draw: Random, attempt: int) -> str:
    if ":" in text:
        return f"2001:db8::{draw.randrange(1, 1 << 16):x}:{draw.randrange(1, 1 << 16):x}"
    return f"198.{draw.choice((18, 19))}.{draw.randrange(256)}.{draw.randrange(1, 255)}"


def _town(text: str, draw: Random, attempt: int) -> str:
    made_name = _place(draw)
    return f"{made_name} {_place(draw)}" if attempt >= _COMPOUND_FROM else made_name


def _organisation(text: str, draw: Random, attempt: int) -> str:
    first = f"{_family(draw)} & {_family(draw)}" if attempt >= _COMPOUND_FROM else _family(draw)
    return f"{first} {draw.choice(lists()['organisation_last'])}"


def _street(text: str, draw: Random, attempt: int) -> str:
    street = f"{_place(draw)} {draw.choice(lists()['streets'])}"
    return f"{draw.randrange(1, 400)} {street}"


def _coordinates(text: str, draw: Random, attempt: int) -> str:
    return f"{draw.uniform(-60, 60):.5f}, {draw.uniform(-180, 180):.5f}"


Maker = Callable[[str, Random, int], str]
_MAKERS: Mapping[str, Maker] = {
    "email": _email,
    "url": _url,
    "domain": _domain,
    "handle": _handle,
    "ip": _ip,
    "mac": _hexadecimal,
    "uuid": _hexadecimal,
    "phone": _phone,
    "fax": _phone,
    "card": _card,
    "iban": _iban,
    "place": _town,
    "organisation": _organisation,
    "street_address": _street,
    "coordinates": _coordinates,
}
