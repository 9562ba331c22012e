"""Materials: what checks read beside the replies: files of the project, replies people wrote.

The files lie in the project's folder and are named relative to it. ``fingerprint`` is their
content's: numbers are measured anew when a list changes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metier.core.checks import Check
from metier.core.errors import InputError, nearest
from metier.core.types import digest

TABLES = {".csv": ",", ".tsv": "\t"}


def _no_texts() -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Materials:
    """The project's folder, and the replies of its training split (asked for when needed)."""

    folder: Path = Path()
    training: Callable[[], Sequence[str]] = _no_texts

    def column(self, name: str, column: str = "") -> list[str]:
        """Return the entries of a list: the lines of a text file, or one column of a CSV or TSV
        with a header (``column`` "": the first). Blank entries are left out.

        Raises InputError when the file or column is not there, or the file is not UTF-8.
        """
        path = self.folder / name
        delimiter = TABLES.get(path.suffix.lower())
        text = _read(path, name)
        if delimiter is None:
            found = text.splitlines()
        else:
            found = _column(list(csv.reader(text.splitlines(), delimiter=delimiter)), column, name)
        return [entry.strip() for entry in found if entry.strip()]

    def text(self, name: str) -> str:
        """Return a file's text. Raises InputError as ``column``."""
        return _read(self.folder / name, name)

    def fingerprint(self, checks: Sequence[Check]) -> str:
        """Return a hash of the files that the checks read. Raises InputError as ``column``."""
        names = sorted({name for check in checks for name in check.files})
        return digest([[name, _read(self.folder / name, name)] for name in names])


NOTHING = Materials()


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        got, remedy = "no such file", "put it beside metier.toml, or correct the path"
    except IsADirectoryError:
        got, remedy = "a folder", "name the file in it"
    except UnicodeDecodeError as error:
        got, remedy = f"bytes that are not UTF-8 at {error.start}", "save it as UTF-8"
    raise InputError(f"a text file {name!r}, which a check names", got=got, remedy=remedy)


def _column(rows: Sequence[Sequence[str]], column: str, name: str) -> list[str]:
    if not rows:
        return []
    header = [cell.strip() for cell in rows[0]]
    if column and column not in header:
        raise InputError(f"column {column!r} in {name}", remedy=nearest(column, header))
    place = header.index(column) if column else 0
    return [row[place] for row in rows[1:] if len(row) > place]
