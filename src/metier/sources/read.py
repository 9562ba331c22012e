"""read_rows: every row of a source, whatever its files are.

for row in read_rows(SourceConfig(path="tickets.csv.gz"), Path(".")):
    ...   # Row, or BadRow with the reason
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from metier.core.errors import InputError, nearest
from metier.core.types import Json
from metier.sources.config import SourceConfig, Unpivot
from metier.sources.documents import read_json, read_jsonl, read_text
from metier.sources.files import Member, find_members
from metier.sources.tables import read_csv, read_parquet, read_tsv, read_xlsx
from metier.sources.types import BadRow, Row
from metier.sources.values import MISSING, as_list, columns_in, lookup

Reader = Callable[[Member, SourceConfig], Iterator[Row | BadRow]]
READERS: dict[str, Reader] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "json": read_json,
    "parquet": read_parquet,
    "xlsx": read_xlsx,
    "text": read_text,
}
SUFFIXES = {
    **{".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"},
    **{".json": "json", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx"},
    **{".xlsm": "xlsx", ".txt": "text", ".text": "text", ".md": "text"},
}
PATIENCE = 1_000
"""Rows after which a column that no row has had counts as unknown (rows may leave out keys)."""


def read_rows(config: SourceConfig, root: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of a source in order; ``root`` is the folder of metier.toml.

    CSV, JSON Lines and Parquet are read in constant memory. Raises InputError for what concerns
    the whole source: no such file, an empty file, the wrong encoding, a column no row has.
    """
    check = _ColumnCheck(config)
    for row in chain.from_iterable(
        _read_member(m, config) for m in find_members(config.path, root)
    ):
        if isinstance(row, BadRow):
            yield row
            continue
        for cell in _unpivoted(row, config.unpivot):
            check.see(cell)
            yield cell
    check.finish()


def _read_member(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    with member.open() as stream:
        empty = not stream.read(1)
    name = config.format if config.format in READERS else SUFFIXES.get(member.suffix)
    if name is None and config.format != "auto":
        name = "jsonl"  # a chat format: its files have all kinds of suffixes
    if empty:
        yield _whole_file(member, "empty_file", "the file is empty", "put rows into it")
    elif name is None:
        known = ", ".join(sorted(set(SUFFIXES)))
        reason = f"unknown kind of file {member.suffix or 'without suffix'!r}"
        yield _whole_file(member, "unknown_format", reason, f"set format; known suffixes: {known}")
    else:
        yield from READERS[name](member, config)


def _whole_file(member: Member, kind: str, reason: str, remedy: str) -> BadRow:
    if member.alone:
        raise InputError("a file with rows", got=f"{member.place}: {reason}", remedy=remedy)
    return BadRow(member.name, reason, "", kind, member.place)


def _unpivoted(row: Row, unpivot: Unpivot | None) -> Iterator[Row]:
    if unpivot is None:
        yield row
        return
    patterns = [_bare(pattern) for pattern in unpivot.skip]
    kept = {
        name: value
        for name, value in row.values.items()
        if any(fnmatchcase(_bare(name), pattern) for pattern in patterns)
    }
    for name, value in row.values.items():
        if name in kept or value is None or value == "":
            continue
        items = as_list(value) if unpivot.lists else None
        for number, item in enumerate([value] if items is None else items, 1):
            part = name if items is None else f"{name}.{number}"
            values = {**kept, "name": name, "value": item}
            yield Row(values, f"{row.locator}.{part}", f"{row.place} {part}")


def _bare(name: str) -> str:
    """Return a name without what people get wrong in headers: blanks and case."""
    return "".join(name.split()).casefold()


class _ColumnCheck:
    """Sees to it that every column the config names exists in some row."""

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        self._unseen: dict[str, str] = {}
        self._known: dict[str, Json] = {}
        self._rows = 0

    def see(self, row: Row) -> None:
        if self._rows == 0:
            specs = _specs(self._config).items()
            self._unseen = {c: key for spec, key in specs for c in columns_in(spec, row.values)}
        self._rows += 1
        if self._unseen:
            missing = {c: k for c, k in self._unseen.items() if lookup(row.values, c) is MISSING}
            self._unseen = missing
            self._known.update(row.values)
        if self._rows == PATIENCE:
            self.finish()

    def finish(self) -> None:
        if not self._unseen:
            return
        column, key = next(iter(self._unseen.items()))
        raise InputError(
            f"a column {column!r} in {self._config.path} (for {key})",
            got=f"the columns {', '.join(self._known)}",
            remedy=nearest(column, self._known),
        )


def _specs(config: SourceConfig) -> dict[str, str]:
    """Return what the config says of columns: column or template -> the key that says it."""
    target = config.target if isinstance(config.target, dict) else {"": config.target}
    named = [(config.prompt, "prompt"), (config.group, "group")]
    named += [(spec, f"target.{field}" if field else "target") for field, spec in target.items()]
    named += [(column, "slices") for column in config.slices]
    return {spec: key for spec, key in named if spec}
