"""Facts as rows of a table: read, checked, with their place named where one is wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from metier.core.errors import InputError, nearest
from metier.core.types import Json
from metier.scoring.texts.quantities import Quantity, quantities, unit_of

COLUMNS = (
    *("subject", "attribute", "value"),
    *("unit", "pattern", "valid_from", "valid_until"),
)
NEEDED = 3
"""The first so many columns must be there."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the table; wordings in the order given, the first is the name. Valid from
    ``valid_from`` to ``valid_until``, both days included; None: open."""

    subjects: tuple[str, ...]
    attributes: tuple[str, ...]
    values: tuple[str, ...]
    unit: str = ""
    pattern: str = ""
    valid_from: date | None = None
    valid_until: date | None = None

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return f"{self.values[0]} {self.unit}".strip()

    @property
    def quantity(self) -> Quantity | None:
        """The value as a number, None when it is none."""
        found = quantities(self.shown)
        plain = re.sub(r"[\s$€£]", "", self.values[0])
        return found[0] if len(found) == 1 and plain[:1] in "0123456789.-−" else None


def read_facts(text: str, name: str) -> tuple[Fact, ...]:
    """Read a table; ``name`` is its file's (.jsonl: JSON lines, .tsv: tabs, else commas).

    Raises InputError naming the row that is wrong.
    """
    if name.lower().endswith((".jsonl", ".ndjson")):
        rows = [(i, _line(line, name, i)) for i, line in _lines(text)]
    else:
        rows = _table(text, name)
    if not rows:
        raise InputError(f"facts in {name}", got="none")
    return tuple(_fact(row, f"{name}:{number}") for number, row in rows)


def _lines(text: str) -> list[tuple[int, str]]:
    return [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]


def _line(line: str, name: str, number: int) -> dict[str, Json]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError("a JSON object on each line", got=f"{name}:{number}: {line[:60]!r}")
    return value


def _table(text: str, name: str) -> list[tuple[int, dict[str, Json]]]:
    delimiter = "\t" if name.lower().endswith(".tsv") else ","
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    header = [cell.strip() for cell in next(reader, [])]
    for column in COLUMNS[:NEEDED]:
        if column not in header:
            raise InputError(f"column {column!r} in {name}", remedy=nearest(column, header))
    found = []
    for row in reader:
        if any(cell.strip() for cell in row):
            found.append((reader.line_num, dict(zip(header, row, strict=False))))
    return found


def _fact(row: Mapping[str, Json], place: str) -> Fact:
    unknown = [key for key in row if key not in COLUMNS]
    if unknown:
        remedy = nearest(str(unknown[0]), COLUMNS)
        raise InputError("the columns of facts", got=f"{unknown[0]!r} at {place}", remedy=remedy)
    cells = {key: _cell(row.get(key)) for key in COLUMNS}
    wordings = [_wordings(cells[name]) for name in COLUMNS[:NEEDED]]
    if not all(wordings):
        lacking = COLUMNS[[bool(one) for one in wordings].index(False)]
        raise InputError(f"a {lacking} in every fact", got=f"none at {place}")
    if cells["unit"] and unit_of(cells["unit"]) is None:
        cells["unit"] = cells["unit"].lower()
    pattern = cells["pattern"]
    try:
        re.compile(pattern)
    except re.error as error:
        raise InputError(f"a regular expression at {place}", got=f"{pattern!r}: {error}") from None
    days = [_day(cells[key], place) for key in ("valid_from", "valid_until")]
    if days[0] and days[1] and days[0] > days[1]:
        raise InputError("valid_from before valid_until", got=f"{days[0]} and {days[1]} at {place}")
    subjects, attributes, values = wordings
    return Fact(subjects, attributes, values, cells["unit"], pattern, days[0], days[1])


def _cell(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).strip()


def _wordings(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())


def _day(cell: str, place: str) -> date | None:
    try:
        return date.fromisoformat(cell) if cell else None
    except ValueError:
        raise InputError("a day such as 2026-01-31", got=f"{cell!r} at {place}") from None
