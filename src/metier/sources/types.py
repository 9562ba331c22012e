"""What a source yields: rows that could be read, and rows that could not with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metier.core.types import Json

RAW_LIMIT = 64_000
"""Characters of an unreadable row that are kept with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``locator`` is its place in the source (``12``, ``member.csv#12``), stable as long
    as the file is; ``place`` is the same for people (``applications.csv:14``)."""

    values: Mapping[str, Json]
    locator: str
    place: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    ``kind`` is a slug to count by (``broken_json``, ``uneven_columns``, ``line_too_long``,
    ``bad_encoding``, ``nul_byte``, ``empty_file``, ``unknown_format``, ``no_prompt``,
    ``no_target``, ``bad_target``, ``bad_conversation``); ``reason`` says it in words; ``raw`` is
    what was read of it, at most ``RAW_LIMIT`` characters.
    """

    locator: str
    reason: str
    raw: str
    kind: str = "bad_row"
    place: str = ""


class RowError(ValueError):
    """Why one row cannot be used; becomes a BadRow where the row is known."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        super().__init__(reason)
