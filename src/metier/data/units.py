"""Units: rows that must stay together, in the order in which they are drawn.

They are kept as columns, some 60 bytes a row, and made in two readings of the rows; the names of
groups are held only where a unit has several rows, and only while its place is worked out.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metier.core.columns import Marks
from metier.core.types import Example, digest

RANK = {"test": 0, "validation": 1, "train": 2}
FREE = -1
"""Of no side yet."""
Places = NDArray[np.int64]
Sides = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Units:
    """Units in drawing order. The rows of unit u are ``rows[starts[u]:starts[u + 1]]``.

    ``shipped`` and ``row_shipped`` hold the side that a unit and a row are bound to, as RANK.
    """

    rows: Places
    starts: Places
    shipped: Sides
    row_shipped: Sides
    names: Sequence[str]
    """The strata; numbers below are places in this list."""
    strata: NDArray[np.int32]
    strata_starts: Places
    """The strata of row r are ``strata[strata_starts[r]:strata_starts[r + 1]]``."""

    @property
    def sizes(self) -> Places:
        """Rows of each unit."""
        return np.diff(self.starts)

    def rows_in(self, units: Places) -> int:
        """Count the rows of some units."""
        return int(self.sizes[units].sum())

    def members(self, unit: int) -> Places:
        """Return the rows of a unit, in order."""
        return self.rows[self.starts[unit] : self.starts[unit + 1]]

    def strata_of(self, unit: int) -> list[tuple[int, int]]:
        """Return the strata of a unit, each with the number of its rows that have it."""
        counts: dict[int, int] = {}
        for row in self.members(unit):
            for one in self.strata[self.strata_starts[row] : self.strata_starts[row + 1]].tolist():
                counts[one] = counts.get(one, 0) + 1
        return list(counts.items())


def gather(
    examples: Sequence[Example],
    seed: int,
    strata: Callable[[Example], Sequence[str]],
    key: Callable[[Example], str],
    ties: Iterable[tuple[int, int]],
    side: Callable[[Example], str | None],
) -> Units:
    """Join rows of one group, one text key or one tie; ``side`` says where a row is bound to."""
    columns = _Columns()
    for example in examples:
        columns.add(example, strata(example), key(example), side(example))
    unit_of = columns.join(ties)
    order = _drawing_order(examples, unit_of, seed)
    place_of_unit = np.empty(len(order), np.int64)
    place_of_unit[order] = np.arange(len(order))
    unit_of = place_of_unit[unit_of]
    row_shipped = np.frombuffer(columns.shipped, np.int8) if columns.shipped else _no_sides()
    shipped = np.full(len(order), len(RANK), np.int8)
    bound = row_shipped != FREE
    np.minimum.at(shipped, unit_of[bound], row_shipped[bound])
    shipped[shipped == len(RANK)] = FREE
    return Units(
        rows=np.argsort(unit_of, kind="stable"),
        starts=np.concatenate([[0], np.cumsum(np.bincount(unit_of, minlength=len(order)))]),
        shipped=shipped,
        row_shipped=row_shipped,
        names=list(columns.names),
        strata=np.array(columns.strata, np.int32),
        strata_starts=np.array(columns.strata_starts, np.int64),
    )


def _no_sides() -> Sides:
    return np.zeros(0, np.int8)


@dataclass(slots=True)
class _Columns:
    """What one reading of the rows leaves in memory."""

    keys: Marks = field(default_factory=Marks)
    groups: Marks = field(default_factory=Marks)
    grouped: array[int] = field(default_factory=lambda: array("q"))  # the rows with a group
    shipped: array[int] = field(default_factory=lambda: array("b"))
    names: dict[str, int] = field(default_factory=dict)
    strata: array[int] = field(default_factory=lambda: array("i"))
    strata_starts: array[int] = field(default_factory=lambda: array("q", [0]))

    def add(self, example: Example, strata: Sequence[str], key: str, side: str | None) -> None:
        """Take in one row."""
        if example.group is not None:
            self.grouped.append(len(self.keys))
            self.groups.add(example.group)
        self.keys.add(key)
        self.shipped.append(FREE if side is None else RANK[side])
        self.strata.extend(self.names.setdefault(name, len(self.names)) for name in strata)
        self.strata_starts.append(len(self.strata))

    def join(self, ties: Iterable[tuple[int, int]]) -> Places:
        """Return a number for each row that the rows of its unit share."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        rows = len(self.keys)
        grouped = np.array(self.grouped, np.int64)
        tied = np.array(list(ties), np.int64).reshape(-1, 2)
        a = np.concatenate([np.arange(rows), grouped, tied[:, 0]])
        b = np.concatenate([self.keys.firsts(), grouped[self.groups.firsts()], tied[:, 1]])
        graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(rows, rows))
        _, found = connected_components(graph, directed=False)
        unit_of: Places = found.astype(np.int64)
        return unit_of


def _drawing_order(examples: Sequence[Example], unit_of: Places, seed: int) -> Places:
    """Return the units in the order of a seeded hash of what they hold."""
    sizes = np.bincount(unit_of) if len(unit_of) else np.zeros(0, np.int64)
    order = bytearray(16 * len(sizes))
    marks: dict[int, set[str]] = defaultdict(set)
    for unit, example in zip(unit_of.tolist(), examples, strict=True):
        # A group is drawn by its name, so it keeps its side when it gains rows.
        mark = example.content_hash if example.group is None else example.group
        if sizes[unit] == 1:
            order[16 * unit : 16 * unit + 16] = bytes.fromhex(digest([seed, [mark]]))
        else:
            marks[unit].add(mark)
    for unit, found in marks.items():
        order[16 * unit : 16 * unit + 16] = bytes.fromhex(digest([seed, sorted(found)]))
    halves = np.frombuffer(bytes(order), ">u8").reshape(-1, 2)
    ordered: Places = np.lexsort((halves[:, 1], halves[:, 0]))
    return ordered
