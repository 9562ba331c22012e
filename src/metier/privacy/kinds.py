"""The kinds of identifiers, as ``kinds.toml`` lists them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from metier.core.objective import Section

_TABLE = Path(__file__).with_name("kinds.toml")
_UNLISTED = 100


class Kind(Section):
    """One kind of identifier."""

    title: str
    """What it is, in words."""
    category: str = Field(pattern=r"^[A-R]?$")
    """Letter of 45 CFR 164.514(b)(2)(i); empty: none of the 18 categories."""
    precedence: int = Field(ge=0)
    """Where two kinds claim the same characters, the lower number has them."""
    recogniser: str
    """Family of recognisers that find it, e.g. contacts for patterns.contacts."""
    languages: frozenset[str]
    """ISO 639-1 codes of languages whose cue words are read; * for any language."""
    how: str
    """How it is found."""
    not_covered: str = ""
    """What of this kind stays in the text."""
    joins: bool = False
    """Whether neighbours with one blank between are one."""
    replace: dict[str, str]
    """Operator under each profile that looks for it."""


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, Kind]:
    """Return every listed kind by its slug."""
    listed = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {slug: Kind.model_validate(entry) for slug, entry in listed.items()}


def precedence(kind: str) -> int:
    """Return the rank among claims on the same characters; a kind not listed comes last."""
    entry = kinds().get(kind)
    return entry.precedence if entry else _UNLISTED


def joins(kind: str) -> bool:
    """Return whether neighbours of this kind with one blank between are one."""
    entry = kinds().get(kind)
    return entry is not None and entry.joins
