"""Scores per label in a file of predictions: ``{"billing": 0.7, "delivery": 0.3}`` on each row."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from metier.core.errors import InputError
from metier.core.types import Json
from metier.sources import Row

LEAST = 1e-12
"""What a probability of 0 counts as, so that it has a logarithm."""


def read_scores(rows: Sequence[Row], column: str | None) -> list[dict[str, float] | None]:
    """Return log-probabilities by label for each row; None where the cell is empty.

    A column whose numbers all lie between 0 and 1 holds probabilities; any other log-probabilities
    or logits, taken as they are. NaN stays, so that the item ranks worst. Raises InputError, with
    the place, for a cell that is no object of numbers.
    """
    if column is None:
        return [None] * len(rows)
    found = [_cell(row, column) for row in rows]
    numbers = [v for one in found for v in (one or {}).values() if not math.isnan(v)]
    if all(0 <= number <= 1 for number in numbers):
        return [None if one is None else {k: _log(v) for k, v in one.items()} for one in found]
    return found


def _cell(row: Row, column: str) -> dict[str, float] | None:
    value: Json = row.values.get(column)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            raise _refused(row, column, value) from None
    if value is None or value == "" or value == {}:
        return None
    if not isinstance(value, Mapping):
        raise _refused(row, column, value)
    found = {str(label): _number(number) for label, number in value.items()}
    if any(number is None for number in found.values()):
        raise _refused(row, column, value)
    return {label: number for label, number in found.items() if number is not None}


def _number(value: Json) -> float | None:
    if value is None:
        return math.nan
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _log(share: float) -> float:
    return share if math.isnan(share) else math.log(max(share, LEAST))


def _refused(row: Row, column: str, value: Json) -> InputError:
    return InputError(
        f'an object of numbers by label in column {column!r}, e.g. {{"billing": 0.7}}',
        got=f"{row.place}: {str(value)[:60]!r}",
        remedy="repair the row, or name another column with --column scores=NAME",
    )
