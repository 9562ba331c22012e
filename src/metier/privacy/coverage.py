"""The coverage table: for each of the 18 categories, what is looked for, how, and what is not.

It tells what a profile looks for, not how much of it is found: that is measured, on the project's
own sample, by a sign-off.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from metier.privacy.kinds import Kind, kinds
from metier.privacy.profiles import ProfileName, profile
from metier.privacy.types import Recogniser

_TABLE = Path(__file__).with_name("categories.toml")
DISCLAIMER = (
    "The table says what is looked for, not that all of it is found, and not that a use of the"
    " data is lawful. Measure the recall on your own sample and have it signed before you rely"
    " on it."
)


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of identifier under a profile."""

    kind: str
    title: str
    how: str
    recognisers: tuple[str, ...]
    """Names of those that find it; empty: nobody under this profile."""
    languages: tuple[str, ...]
    """ISO 639-1 codes, ``*`` for any."""
    operator: str
    """What the profile does with it unless the project says otherwise; empty: not looked for."""
    not_covered: str


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """One category of 45 CFR 164.514(b)(2)(i)."""

    letter: str
    """A to R; empty for kinds that are in none."""
    title: str
    kinds: tuple[KindRow, ...]
    leaves: str
    """What is left to people."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The table of one profile."""

    profile: ProfileName
    categories: tuple[CategoryRow, ...]
    disclaimer: str = DISCLAIMER


def coverage(name: ProfileName = "safe-harbor") -> Coverage:
    """Return the table of a profile: every category, also where nothing is looked for."""
    found = profile(name)
    recognisers = found.recognisers()
    rows = [
        CategoryRow(letter, title, _kind_rows(letter, name, recognisers), leaves)
        for letter, title, leaves in _categories()
    ]
    return Coverage(name, tuple(rows))


def _kind_rows(
    letter: str, name: ProfileName, recognisers: Sequence[Recogniser]
) -> tuple[KindRow, ...]:
    listed = [(slug, kind) for slug, kind in kinds().items() if kind.category == letter]
    return tuple(
        _kind_row(slug, kind, name, recognisers) for slug, kind in listed if name in kind.replace
    )


def _kind_row(
    slug: str, kind: Kind, name: ProfileName, recognisers: Sequence[Recogniser]
) -> KindRow:
    finding = [one for one in recognisers if slug in one.kinds]
    languages = sorted({code for one in finding for code in one.languages})
    return KindRow(
        slug,
        kind.title,
        kind.how,
        tuple(one.name for one in finding),
        ("*",) if "*" in languages else tuple(languages),
        kind.replace[name],
        kind.not_covered,
    )


@lru_cache(maxsize=1)
def _categories() -> tuple[tuple[str, str, str], ...]:
    listed = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    rows = [(letter, entry["title"], entry["leaves"]) for letter, entry in listed.items()]
    return (*rows, ("", "In none of the categories", ""))


def markdown(table: Coverage) -> str:
    """Return the table as Markdown, one section per category."""
    lines = [f"# What the profile {table.profile} looks for", "", table.disclaimer, ""]
    for row in table.categories:
        lines += [f"## {f'({row.letter}) ' if row.letter else ''}{row.title}", ""]
        lines += _kind_lines(row.kinds)
        if row.leaves:
            lines += [f"Left to people: {row.leaves}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _kind_lines(rows: Iterable[KindRow]) -> list[str]:
    cells = [
        f"| {row.kind} | {row.how} | {', '.join(row.recognisers) or '-'} "
        f"| {spoken_languages(row.languages)} | {row.operator} | {row.not_covered or '-'} |"
        for row in rows
    ]
    if not cells:
        return ["Nothing is looked for under this profile.", ""]
    head = "| kind | how it is found | by | languages | in its place | not covered |"
    return [head, "|---|---|---|---|---|---|", *cells, ""]


def spoken_languages(codes: Sequence[str]) -> str:
    """Return languages for people: ``any`` for ``*``."""
    return ", ".join("any" if code == "*" else code for code in codes) or "-"
