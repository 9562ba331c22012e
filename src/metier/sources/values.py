"""Cells: as text, looked up by column or template, read as lists, checked for damage."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from metier.core.types import Json
from metier.sources.encoding import ESCAPED
from metier.sources.types import RowError

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
MISSING = object()
_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(value: Any) -> Json:
    """Return a cell of a typed format (Parquet, XLSX) as a JSON value."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def as_text(value: Json) -> str:
    """Return a cell as text: lists of strings by line, other structures as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def name_some(names: Sequence[str], limit: int = 20) -> str:
    """Write names in a row; of more than ``limit`` the first ones and how many there are more."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def lookup(values: Mapping[str, Json], column: str) -> Json:
    """Return a cell by column name, or by a dotted path into nested objects; else MISSING."""
    if column in values:
        return values[column]
    head, dot, rest = column.partition(".")
    inner = values.get(head) if dot else None
    return lookup(inner, rest) if isinstance(inner, Mapping) else MISSING


def columns_in(spec: str, values: Mapping[str, Json]) -> list[str]:
    """Return the columns that ``spec`` (column or template) names."""
    if "{" not in spec or spec in values:
        return [spec]
    return [match.group(1) for match in PLACEHOLDER.finditer(spec) if match.group(1)]


def fill(spec: str, values: Mapping[str, Json]) -> Json:
    """Return the cell that ``spec`` names, or the template filled; MISSING and empty cells fill as
    nothing, and a template whose cells are all empty is empty."""
    columns = columns_in(spec, values)
    cells = {column: lookup(values, column) for column in columns}
    if columns == [spec]:
        return None if cells[spec] is MISSING else cells[spec]
    texts = {column: "" if cell is MISSING else as_text(cell) for column, cell in cells.items()}
    if not any(text.strip() for text in texts.values()):
        return ""

    def replaced(match: re.Match[str]) -> str:
        return texts[match.group(1)] if match.group(1) else match.group()[0]

    return PLACEHOLDER.sub(replaced, spec).strip()


def as_list(value: Json) -> list[Json] | None:
    """Return a cell as a list when it is one or is one written as text, else None.

    Both JSON and Python notation are read; Python's by ``ast.literal_eval``, which runs nothing.
    """
    if isinstance(value, list):
        return value
    if not (isinstance(value, str) and value.strip().startswith("[")):
        return None
    for read in (json.loads, _literal):
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in a cell is data, not code to complain about
        return ast.literal_eval(text)


def check_text(values: Mapping[str, Json]) -> None:
    """Raise RowError when a string of the row cannot be stored: damaged bytes, NUL, half a
    surrogate pair."""
    for column, text in _strings(values):
        if "\x00" in text:
            raise RowError("nul_byte", f"NUL byte in column {column!r}")
        if text.isascii() or not (found := _SURROGATE.search(text)):
            continue
        if ESCAPED.match(found.group()):
            byte = ord(found.group()) - 0xDC00
            raise RowError(
                "bad_encoding",
                f"byte 0x{byte:02X} in column {column!r} does not fit the file's encoding; "
                "set encoding if the whole file is affected",
            )
        raise RowError("bad_encoding", f"half a surrogate pair in column {column!r}")


def _strings(values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for column, value in values.items():
        yield str(column), str(column)
        if isinstance(value, str):
            yield column, value
        elif isinstance(value, Mapping):
            yield from _strings(value)
        elif isinstance(value, list):
            yield from _strings({f"{column}[{index}]": item for index, item in enumerate(value)})
