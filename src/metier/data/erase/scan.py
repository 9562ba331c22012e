"""The proof of an erasure: every byte under the workspace is looked through for the values.

Files are read as they are; Parquet is unpacked besides, since its pages are compressed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metier.core.workspace import FOLDER, Workspace
from metier.data.erase.values import OwnValues

SKIPPED = frozenset({".git", ".venv", "node_modules", FOLDER})
_CHUNK = 1 << 24
_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class Scan:
    """What was read, and the files (relative to the project) in which a value stands."""

    files: int
    size_bytes: int
    found: tuple[str, ...]


def scan_workspace(ws: Workspace, values: OwnValues) -> Scan:
    """Look through every file under ``.metier``: database, log, artifacts, indexes, logs."""
    return _scan(ws.root, _files(ws.folder), values)


def scan_project(ws: Workspace, values: OwnValues) -> Scan:
    """Look through the files beside it: sources, exports and reports, which are the user's."""
    beside = (one for one in ws.root.iterdir() if one.name not in SKIPPED)
    return _scan(ws.root, (file for one in sorted(beside) for file in _files(one)), values)


def _files(place: Path) -> Iterator[Path]:
    if place.is_symlink():
        return
    if place.is_file():
        yield place
    elif place.is_dir():
        for one in sorted(place.iterdir()):
            if one.name not in (".git", ".venv", "node_modules"):
                yield from _files(one)


def _scan(root: Path, files: Iterator[Path], values: OwnValues) -> Scan:
    count = size = 0
    found = []
    pattern = re.compile(b"|".join(map(re.escape, values.needles))) if values.needles else None
    for file in files:
        count, size = count + 1, size + file.stat().st_size
        if pattern is not None and _holds(file, pattern):
            found.append(file.relative_to(root).as_posix())
    return Scan(count, size, tuple(found))


def _holds(file: Path, pattern: re.Pattern[bytes]) -> bool:
    with file.open("rb") as source:
        kept = source.read(_CHUNK)
        packed = kept[:4] == _PARQUET
        while kept:
            if pattern.search(kept):
                return True
            more = source.read(_CHUNK)
            # A value may lie across the edge of two pieces.
            kept = kept[-256:] + more if more else b""
    return packed and _holds_unpacked(file, pattern)


def _holds_unpacked(file: Path, pattern: re.Pattern[bytes]) -> bool:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(file.read_bytes()))
    return any(
        pattern.search(str(value).encode())
        for column in table.columns
        for value in column.to_pylist()
        if value is not None
    )
