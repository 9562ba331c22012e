"""Import: every row of every source becomes an Example, or a bad row with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from metier.core.columns import Marks
from metier.core.errors import ConfigError, InputError
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Conversation, Example, Provenance
from metier.data.pipeline import Dropped
from metier.data.spool import Picked, Room, Spool
from metier.sources import BadRow, Source, SourceConfig, open_source, to_example

# Progress is told in strides: one event per row would cost more than reading it.
STRIDE = 500
IMPORT = "import"
"""The step name of rows that could not be read."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source gave, in rows; ``bad`` counts the unreadable ones by kind."""

    path: str
    digest: str
    rows: int
    examples: int
    bad: Mapping[str, int]
    split: str | None
    seconds: float
    licence: str = ""
    origin: str = ""


@dataclass(slots=True)
class Imported:
    """All rows of all sources."""

    examples: Sequence[Example] = ()
    rejected: Spool[Dropped] = field(default_factory=Spool)
    sources: list[SourceReport] = field(default_factory=list)


def read_sources(
    sources: Sequence[SourceConfig],
    objective: Objective,
    root: Path,
    progress: Progress,
    room: Room | None = None,
) -> Imported:
    """Read all sources, in order; paths are relative to ``root``.

    Rows that do not fit into ``room`` are spooled.

    Raises:
        ConfigError: there are no sources.
        InputError: a source is missing or cannot be read as configured, or none of its rows can.
    """
    if not sources:
        raise ConfigError(
            "at least one source of rows",
            got="[data] without sources",
            remedy='add sources = [{ path = "rows.csv", prompt = "text", target = "label" }]',
        )
    reading = _Reading(Spool(room), Imported(rejected=Spool(room)))
    for source in sources:
        began = perf_counter()
        reading.begin(source.path)
        with open_source(source, root) as opened:
            digest = opened.digest
            for one in _rows(opened, objective, progress):
                reading.take(one, source.path, digest)
        reading.put_back_repeated(source.path, digest)
        _refuse_all_bad(source, reading)
        reading.imported.sources.append(
            SourceReport(
                path=source.path,
                digest=digest,
                rows=reading.good + sum(reading.bad.values()),
                examples=reading.good,
                bad=dict(sorted(reading.bad.items())),
                split=source.split,
                seconds=perf_counter() - began,
                licence=source.licence,
                origin=source.origin,
            )
        )
    return reading.done()


class _Reading:
    """The rows read so far, and the counts of the source that is being read."""

    def __init__(self, examples: Spool[Example], imported: Imported) -> None:
        self.imported = imported
        self._examples, self._ids = examples, Marks()
        self._starts: dict[int, str] = {}  # the first row of each source
        self._repeated: list[int] = []
        self.begin("")

    def begin(self, path: str) -> None:
        """Begin with a source: count its rows from here."""
        self._start = len(self._examples)
        self._starts[self._start] = path
        self.good = 0
        self.bad: Counter[str] = Counter()
        self.first_bad: dict[str, BadRow] = {}

    def take(self, one: Example | BadRow, path: str, digest: str) -> None:
        """Take in what was made of a row."""
        if isinstance(one, BadRow):
            self.bad[one.kind] += 1
            self.first_bad.setdefault(one.kind, one)
            self.imported.rejected.append(unreadable(one, path, digest))
        else:
            self.good += 1
            self._ids.add(one.id)
            self._examples.append(one)

    def put_back_repeated(self, path: str, digest: str) -> None:
        """Make bad rows of those of this source that came before, in it or in an earlier one."""
        firsts = self._ids.firsts()
        for place in self._ids.repeats()[self._ids.repeats() >= self._start].tolist():
            start = max(start for start in self._starts if start <= firsts[place])
            example = self._examples[place]
            self._repeated.append(place)
            self.good -= 1
            other = self._starts[start]
            self.bad["repeated_row"] += 1
            row = _repeated(example, other)
            self.first_bad.setdefault(row.kind, row)
            self.imported.rejected.append(unreadable(row, path, digest))

    def done(self) -> Imported:
        """Return what was read."""
        self.imported.examples = self._examples
        if self._repeated:
            places = np.delete(np.arange(len(self._examples)), self._repeated)
            self.imported.examples = Picked(self._examples, places)
        return self.imported


def _rows(opened: Source, objective: Objective, progress: Progress) -> Iterator[Example | BadRow]:
    source, digest = opened.config, opened.digest
    with progress.task(f"import {source.path}", unit="rows") as task:
        unsaid = 0
        for row in opened.rows():
            yield row if isinstance(row, BadRow) else to_example(row, source, objective, digest)
            unsaid += 1
            if unsaid == STRIDE:
                task.advance(unsaid)
                unsaid = 0
        task.advance(unsaid)


def unreadable(row: BadRow, source: str, digest: str) -> Dropped:
    """Return a bad row as a drop of the import: an example that holds what was read of it."""
    example = Example(
        id=Example.make_id(digest, row.locator),
        conversation=Conversation.of(("user", row.raw)),
        target=None,
        provenance=Provenance(source, digest, row.locator),
    )
    return Dropped(IMPORT, example, row.kind, {"what": row.reason, "place": row.place})


def _repeated(example: Example, other: str) -> BadRow:
    locator = example.provenance.locator
    return BadRow(
        locator,
        f"this row of the same file came already, through the source {other}",
        example.conversation.text,
        "repeated_row",
        f"{example.provenance.source}:{locator}",
    )


def _refuse_all_bad(source: SourceConfig, reading: _Reading) -> None:
    if reading.good:
        return
    if not reading.bad:
        raise InputError(
            "at least one row",
            got=f"none in {source.path}",
            remedy="put rows into it, or take the source out of [data] sources",
        )
    kind, count = reading.bad.most_common(1)[0]
    first = reading.first_bad[kind]
    raise InputError(
        f"rows of {source.path} that can be used",
        got=f"{sum(reading.bad.values())} rows, none of them usable; {count} for {kind}, the first "
        f"at {first.place or first.locator}: {first.reason}",
        remedy="correct the file, or how [data] sources maps its columns",
    )
