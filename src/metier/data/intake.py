"""Import: every row of every source becomes an Example, or a bad row with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from metier.core.errors import ConfigError, InputError
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Conversation, Example, Provenance
from metier.data.pipeline import Dropped
from metier.sources import BadRow, SourceConfig, read_rows, source_digest, to_example

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


@dataclass(slots=True)
class Imported:
    """All rows of all sources."""

    examples: list[Example] = field(default_factory=list)
    rejected: list[Dropped] = field(default_factory=list)
    sources: list[SourceReport] = field(default_factory=list)


def read_sources(
    sources: Sequence[SourceConfig], objective: Objective, root: Path, progress: Progress
) -> Imported:
    """Read all sources, in order; paths are relative to ``root``.

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
    imported = Imported()
    places: dict[str, str] = {}
    for source in sources:
        began = perf_counter()
        digest = source_digest(root / source.path)
        good: list[Example] = []
        bad: list[BadRow] = []
        for one in _rows(source, objective, root, digest, progress):
            if isinstance(one, BadRow):
                bad.append(one)
            elif one.id in places:
                bad.append(_repeated(one, places[one.id]))
            else:
                places[one.id] = source.path
                good.append(one)
        kinds = Counter(row.kind for row in bad)
        _refuse_all_bad(source, good, bad)
        imported.examples.extend(good)
        imported.rejected.extend(unreadable(row, source.path, digest) for row in bad)
        imported.sources.append(
            SourceReport(
                path=source.path,
                digest=digest,
                rows=len(good) + len(bad),
                examples=len(good),
                bad=dict(sorted(kinds.items())),
                split=source.split,
                seconds=perf_counter() - began,
            )
        )
    return imported


def _rows(
    source: SourceConfig, objective: Objective, root: Path, digest: str, progress: Progress
) -> Iterator[Example | BadRow]:
    with progress.task(f"import {source.path}", unit="rows") as task:
        unsaid = 0
        for row in read_rows(source, root):
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


def _refuse_all_bad(source: SourceConfig, good: Sequence[Example], bad: Sequence[BadRow]) -> None:
    if good:
        return
    if not bad:
        raise InputError(
            "at least one row",
            got=f"none in {source.path}",
            remedy="put rows into it, or take the source out of [data] sources",
        )
    kind, count = Counter(row.kind for row in bad).most_common(1)[0]
    first = next(row for row in bad if row.kind == kind)
    raise InputError(
        f"rows of {source.path} that can be used",
        got=f"{len(bad)} rows, none of them usable; {count} for {kind}, the first at "
        f"{first.place or first.locator}: {first.reason}",
        remedy="correct the file, or how [data] sources maps its columns",
    )
