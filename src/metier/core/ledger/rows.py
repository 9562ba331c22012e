"""Some rows of a frozen split, without reading the others: a page, a search, single ids.

A split is stored in row groups; at most one of them is in memory, and only the rows that are
handed out are parsed. The order of a split never changes, so a position is a place to go on from.
The bytes are not checked against their digest (``iter_split`` does that).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from metier.core.codec import examples_of
from metier.core.ledger.versions import split_artifact
from metier.core.records import DataVersion
from metier.core.store.tables import VersionExampleRow
from metier.core.types import Example
from metier.core.workspace import Workspace

MOST_SEARCHED = 200_000
"""Rows that one search looks through before it says where to go on."""
_SEARCHED = ("id", "conversation", "target", "slices")
_IN = 500  # ids in one IN (...)


@dataclass(frozen=True, slots=True)
class Sought:
    """What rows are wanted: those that hold the words (in any case), that label, that slice."""

    words: str = ""
    label: str = ""
    part: tuple[str, str] | None = None

    @property
    def everything(self) -> bool:
        """Whether every row is wanted."""
        return not self.words and not self.label and self.part is None


@dataclass(frozen=True, slots=True)
class RowPage:
    """Rows with their positions in the split, from 0; ``after`` is where to go on (None: the end).
    ``searched`` rows were looked at."""

    rows: tuple[tuple[int, Example], ...]
    after: int | None
    searched: int


@dataclass(slots=True)
class _Found:
    rows: list[tuple[int, Example]] = field(default_factory=list)
    searched: int = 0


def page_rows(
    ws: Workspace,
    version: DataVersion,
    split: str,
    sought: Sought = Sought(),
    *,
    start: int = 0,
    limit: int = 50,
) -> RowPage:
    """Return up to ``limit`` rows from position ``start`` on. Raises NotFound."""
    found, size = _Found(), 0
    for first, group in _groups(ws, version, split, start):
        size = first + group.num_rows
        places = [at for at in _matching(group, sought) if first + at >= start]
        room = limit - len(found.rows)
        if len(places) > room:
            found.rows += _taken(group, first, places[:room])
            return RowPage(tuple(found.rows), first + places[room], found.searched)
        found.rows += _taken(group, first, places)
        found.searched += group.num_rows
        if found.searched >= MOST_SEARCHED:
            break
    more = size < version.counts.get(split, 0) and size > 0
    return RowPage(tuple(found.rows), size if more else None, found.searched)


def find_rows(
    ws: Workspace, version: DataVersion, ids: Collection[str]
) -> dict[str, tuple[str, Example]]:
    """Return the rows with these ids and the splits they are in; unknown ids are left out."""
    wanted: dict[str, set[str]] = {}
    for example_id, split in _splits_of(ws, version, list(ids)):
        wanted.setdefault(split, set()).add(example_id)
    found: dict[str, tuple[str, Example]] = {}
    for split, left in wanted.items():
        for _, group in _groups(ws, version, split, 0):
            at = [n for n, one in enumerate(group.ids) if one in left]
            found |= {one.id: (split, one) for _, one in _taken(group, 0, at)}
            left.difference_update(found)
            if not left:
                break
    return found


def _splits_of(ws: Workspace, version: DataVersion, ids: list[str]) -> Iterator[tuple[str, str]]:
    row = VersionExampleRow
    for start in range(0, len(ids), _IN):
        part = row.example_id.in_(ids[start : start + _IN])
        query = select(row.example_id, row.split).where(row.version_id == version.id, part)
        with ws.db.reading() as session:
            yield from [(one, split) for one, split in session.execute(query)]


class _Group:
    """One row group; columns are read when they are needed."""

    def __init__(self, file: Any, number: int) -> None:
        self._file, self._number = file, number
        self.num_rows: int = file.metadata.row_group(number).num_rows

    @property
    def ids(self) -> list[str]:
        return list(self.columns(("id",))["id"])

    def columns(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        table = self._file.read_row_group(self._number, columns=list(names))
        return {name: table.column(name).to_pylist() for name in names}

    def take(self, places: list[int]) -> list[Example]:
        return examples_of(self._file.read_row_group(self._number).take(places))


def _groups(
    ws: Workspace, version: DataVersion, split: str, start: int
) -> Iterator[tuple[int, _Group]]:
    """Yield the row groups that hold ``start`` or come after it, with their first positions."""
    import pyarrow.parquet as pq

    first = 0
    with ws.artifacts.open(split_artifact(ws, version, split)) as source:
        file = pq.ParquetFile(source)
        for number in range(file.num_row_groups):
            group = _Group(file, number)
            if first + group.num_rows > start:
                yield first, group
            first += group.num_rows


def _matching(group: _Group, sought: Sought) -> list[int]:
    """Return the places in the group of what is sought, by the cells' JSON as it lies there."""
    if sought.everything:
        return list(range(group.num_rows))
    cells = group.columns(_SEARCHED)
    words = _quoted(sought.words).casefold()
    label = f'"{_quoted(sought.label)}"' if sought.label else ""
    return [
        at
        for at in range(group.num_rows)
        if (not words or words in _text(cells, at))
        and (not label or label in cells["target"][at])
        and (sought.part is None or _in_part(cells["slices"][at], *sought.part))
    ]


def _text(cells: dict[str, list[str]], at: int) -> str:
    parts = (cells["id"][at], cells["conversation"][at], cells["target"][at])
    return "\n".join(parts).casefold()


def _in_part(cell: str, key: str, value: str) -> bool:
    return bool(json.loads(cell).get(key) == value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _taken(group: _Group, first: int, places: list[int]) -> list[tuple[int, Example]]:
    if not places:
        return []
    return [(first + at, one) for at, one in zip(places, group.take(places), strict=True)]
