"""The rows of the files that another trainer's config names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from metier.core.errors import InputError
from metier.sources.config import Format, SourceConfig
from metier.sources.read import read_rows
from metier.sources.types import BadRow

FORMATS: dict[str, Format] = {
    "json": "auto", "jsonl": "jsonl", "csv": "csv", "parquet": "parquet", "text": "text",
    "txt": "text",
}  # fmt: skip
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".txt")


@dataclass(frozen=True, slots=True)
class Raw:
    """A row as the file has it; ``place`` (``tickets.jsonl:12``) is its id here. ``why`` says why
    it could not be read."""

    place: str
    values: Mapping[str, Any]
    why: str = ""


def rows_of(files: Sequence[Path], kind: str | None = None, part: slice | None = None) -> list[Raw]:
    """Return the rows of files, in order; ``part`` takes some of them. A column that a row lacks
    and another has is None, as in the tables that trainers read.

    Raises InputError for a file that cannot be read.
    """
    if kind is not None and kind not in FORMATS:
        raise InputError(
            f"a kind of file that is read here: {', '.join(FORMATS)}",
            got=repr(kind),
            remedy="convert the file to JSON Lines",
        )
    rows = (raw for file in files for raw in _file(file, FORMATS[kind] if kind else "auto"))
    chosen = part or slice(None)
    found = list(islice(rows, chosen.start, chosen.stop))
    columns = dict.fromkeys(name for raw in found for name in raw.values)
    return [raw if raw.why else replace(raw, values={**columns, **raw.values}) for raw in found]


def _file(file: Path, kind: Format) -> Iterator[Raw]:
    for row in read_rows(SourceConfig(path=file.name, format=kind), file.parent):
        if isinstance(row, BadRow):
            yield Raw(row.place or row.locator, {}, f"cannot be read: {row.reason}")
        else:
            yield Raw(row.place, row.values)


def data_files(folder: Path) -> list[Path]:
    """Return the data files of a folder, sorted. Raises InputError where there are none."""
    found = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise InputError(
            f"data files ({', '.join(SUFFIXES)})",
            got=f"the folder {folder} with none",
            remedy="name the files themselves",
        )
    return found
