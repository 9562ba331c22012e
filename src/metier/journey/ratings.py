"""Ratings that people gave to replies, read from a file.

    id,rating,rater
    ex_9f...,4,anna
    ex_9f...,5,ben

``id`` (or ``example_id``, ``prediction_id``) names the reply, ``rating`` is a number, more being
better. Several raters of one reply are averaged; ``group`` is what must be resampled together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from metier.core.errors import InputError
from metier.evaluate.files.rows import read_table
from metier.sources import Row

IDS = ("example_id", "prediction_id", "id")
RATINGS = ("rating", "score", "overall")
RATERS = ("rater", "rater_id", "annotator")
GROUPS = ("group", "customer", "patient", "conversation")


@dataclass(frozen=True, slots=True)
class Rating:
    """What the raters of one reply gave on average."""

    id: str
    value: float
    raters: int
    group: str = ""


def read_ratings(path: Path) -> list[Rating]:
    """Return one rating per reply, in the order of the file.

    Raises InputError, with file and line, for a rating that is no number, a missing id, and a
    rater who rated one reply twice.
    """
    rows = read_table(path)
    ids, ratings = _column(rows, IDS, path), _column(rows, RATINGS, path)
    rater, group = _found(rows, RATERS), _found(rows, GROUPS)
    given: dict[str, dict[str, float]] = {}
    groups: dict[str, str] = {}
    for row in rows:
        id = _text(row, ids)
        if not id:
            raise InputError("the id of a rated reply", got=f"{row.place}: none")
        who = _text(row, rater) if rater else ""
        if who in given.setdefault(id, {}):
            whose = f"{who!r} " if who else ""
            raise InputError(
                "one rating per reply and rater",
                got=f"{row.place}: a second one {whose}for {id}".replace("  ", " "),
                remedy="name the raters in a column `rater`, or remove the row",
            )
        given[id][who] = _number(row, ratings)
        groups[id] = _text(row, group) if group else ""
    return [Rating(id, fmean(own.values()), len(own), groups[id]) for id, own in given.items()]


def _found(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    known = {name for row in rows for name in row.values}
    return next((name for name in names if name in known), None)


def _column(rows: Sequence[Row], names: Sequence[str], path: Path) -> str:
    found = _found(rows, names)
    if found is None:
        known = ", ".join(dict.fromkeys(name for row in rows for name in row.values))
        wanted = " or ".join(names)
        raise InputError(f"a column {wanted} in {path.name}", got=f"the columns {known}")
    return found


def _text(row: Row, column: str) -> str:
    value = row.values.get(column)
    return "" if value is None else str(value).strip()


def _number(row: Row, column: str) -> float:
    try:
        value = float(_text(row, column))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        got = f"{row.place}: {row.values.get(column)!r} in {column!r}"
        raise InputError("a number as every rating", got=got)
    return value
