"""The nouns of de-identification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Finding:
    """An identifier: characters ``start`` to ``end`` (exclusive); ``kind`` names the placeholder,
    e.g. ``email`` for ``[EMAIL]``."""

    start: int
    end: int
    kind: str


@runtime_checkable
class Recogniser(Protocol):
    """Finds identifiers of some kinds in text of some languages."""

    @property
    def name(self) -> str:
        """Its slug, e.g. ``patterns.contacts``: coverage tables and sign-off sheets name it."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it may find (see ``kinds.toml``)."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes of the languages it reads; ``*`` for any."""
        ...

    def find(self, text: str) -> Iterable[Finding]:
        """Yield findings in any order; they may overlap. Never fails on odd text."""
        ...
