"""Ratings of a panel that were made elsewhere, read from a table.

    item,candidate,rater,dimension,score,seconds
    ex_9f...,tuned,anna,accuracy,4,31
    ex_9f...,zero_shot,anna,accuracy,2,

One row per rating; those of one rater, item and candidate are one answer. Choices side by side
have ``other`` (the second candidate) and ``preferred`` (a candidate's name, or tie) in place of
dimension and score. ``better`` and ``harm`` may stand in any row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from metier.core.errors import InputError, UserError
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.evaluate.files.rows import read_table
from metier.review.given import Elsewhere, add_ratings
from metier.sources import Row

NEEDED = ("item", "candidate", "rater")


@dataclass(frozen=True, slots=True)
class ImportedRatings:
    """What an import did, or would do; ``refused`` are (place, why)."""

    panel: str
    answers: int
    new: int
    raters: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()
    dry_run: bool = False


def import_ratings(
    ws: Workspace, panel: str, path: Path, actor: str, *, dry_run: bool = False
) -> ImportedRatings:
    """Put the ratings of a table into a panel; rows that cannot be used are named.

    A dry run reads the file only. Raises InputError where a column is missing.
    """
    found, refused = read_panel_ratings(path)
    raters = tuple(sorted({one.person for _, one in found}))
    if dry_run:
        return ImportedRatings(panel, len(found), 0, raters, tuple(refused), True)
    new = 0
    for place, one in found:
        try:
            new += add_ratings(ws, panel, [one], actor)
        except UserError as error:
            refused.append((place, f"expected {error.expected}; got {error.got}"))
    return ImportedRatings(panel, len(found), new, raters, tuple(refused))


def read_panel_ratings(
    path: Path,
) -> tuple[list[tuple[str, Elsewhere]], list[tuple[str, str]]]:
    """(place, answer) of a table, and (place, why) of rows that cannot be used."""
    rows = read_table(path)
    known = {name for row in rows for name in row.values}
    missing = [name for name in NEEDED if name not in known]
    if missing or not ({"score", "preferred"} & known):
        wanted = ", ".join([*NEEDED, "dimension and score (or other and preferred)"])
        raise InputError(f"columns {wanted} in {path.name}", got=", ".join(sorted(known)) or "none")
    answers: dict[tuple[str, ...], dict[str, Json]] = {}
    places: dict[tuple[str, ...], str] = {}
    seconds: dict[tuple[str, ...], float] = {}
    refused: list[tuple[str, str]] = []
    for row in rows:
        try:
            key = _key(row)
            _add(answers.setdefault(key, {}), row)
            places.setdefault(key, row.place)
            seconds[key] = seconds.get(key, 0.0) + (_number(row, "seconds") or 0.0)
        except ValueError as error:
            refused.append((row.place, str(error)))
    made = [
        (places[key], Elsewhere(key[1], key[0], key[2:], value, seconds[key] or None))
        for key, value in answers.items()
        if value
    ]
    return made, refused


def _key(row: Row) -> tuple[str, ...]:
    key = tuple(_text(row, name) for name in NEEDED)
    if not all(key):
        raise ValueError(f"no {NEEDED[key.index('')]}")
    item, candidate, rater = key
    other = _text(row, "other")
    return (item, rater, candidate, other) if other else (item, rater, candidate)


def _add(answer: dict[str, Json], row: Row) -> None:
    score, name = _number(row, "score"), _text(row, "dimension")
    if score is not None:
        if not name or score != int(score):
            raise ValueError("a dimension and a whole number as its score are expected")
        ratings = answer.setdefault("ratings", {})
        if name in ratings:
            raise ValueError(f"a second score of {name} by one rater")
        ratings[name] = int(score)
    preferred = _text(row, "preferred")
    if preferred:
        sides = {_text(row, "candidate"): "a", _text(row, "other"): "b", "tie": "tie"}
        if preferred not in sides or not _text(row, "other"):
            raise ValueError("preferred is one of candidate, other and tie")
        answer["preferred"] = sides[preferred]
    for text in ("better", "harm"):
        if _text(row, text):
            answer[text] = _text(row, text)


def _text(row: Row, column: str) -> str:
    value = row.values.get(column)
    return "" if value is None else str(value).strip()


def _number(row: Row, column: str) -> float | None:
    text = _text(row, column)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{column} is a number of 0 or more")
    return value
