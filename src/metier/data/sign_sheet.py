"""The sign-off sheet: de-identified rows out to a reader, the reader's marks back in.

    write_sheet(ws, sample, Path("sheet.csv"))
    read_sheet(ws, Path("sheet-mara.csv"), reader="mara")

CSV or JSON lines, one row of data a line. In ``missed`` a reader writes what is left in the text,
``person: Smith | date: 3 May``, or ``none``; empty means not read. ``wrong`` takes the number of
replaced stretches that were no identifiers.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from metier.core.artifacts import write_atomically
from metier.core.codec import loads
from metier.core.errors import InputError, NotFound, UserError, nearest
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.privacy.kinds import kinds
from metier.privacy.sign_off import Mark, Reading, Sample, get_sample, save_reading

COLUMNS = ("sample_id", "row_id", "before", "after", "found", "missed", "wrong", "note")
SUFFIXES = (".csv", ".jsonl")
NONE = "none"
UNNAMED = "unnamed"
"""The kind of a missed identifier that a reader gave no kind."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one row, before and after."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a sheet held: rows read, rows left empty, and those that could not be used."""

    reading: Reading | None
    rows: int
    empty: int
    bad: tuple[str, ...]


def write_sheet(
    ws: Workspace, sample: Sample, path: Path, *, originals: bool = False, actor: str | None = None
) -> int:
    """Write a sample for one reader, as CSV or (``.jsonl``) JSON lines; return the rows.

    The texts after de-identification are opened for it, with ``originals`` those before, too; both
    are audited, and the file is readable by its owner only.
    """
    check_place(path)
    ids = [row.sealed_id for row in sample.detail.rows]
    purpose = "sign-off sheet with originals" if originals else "sign-off sheet"
    opened = ws.sealed.open_many(ids, actor=actor, purpose=purpose)
    lines = []
    for row in sample.detail.rows:
        texts = loads(Texts, opened[row.sealed_id])
        found = ", ".join(f"{kind} {count}" for kind, count in row.found.items())
        before = texts.before if originals else ""
        lines.append(
            dict(zip(COLUMNS, (sample.id, row.id, before, texts.after, found, "", "", ""),
                     strict=True))
        )  # fmt: skip
    write_atomically(path, BytesIO(_formatted(lines, path).encode("utf-8")))
    path.chmod(0o600)
    return len(lines)


def check_place(path: Path) -> None:
    """Refuse a kind of file that is not written, and to write over a sheet that may hold marks.

    Raises InputError.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("a sheet called .csv or .jsonl", got=str(path), remedy="name it so")
    if path.exists():
        raise InputError(
            "the name of a new file",
            got=f"{path}, which is there and may hold marks",
            remedy="name another one, or remove it",
        )


def _formatted(lines: Sequence[Mapping[str, str]], path: Path) -> str:
    if path.suffix == ".jsonl":
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, COLUMNS)
    writer.writeheader()
    writer.writerows({name: _unquoted(value) for name, value in line.items()} for line in lines)
    return "\ufeff" + sink.getvalue()


def _unquoted(value: str) -> str:
    """A cell that a spreadsheet takes for a formula gets a quote before it."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value


def read_sheet(ws: Workspace, path: Path, reader: str) -> Read:
    """Take in what a person marked; rows that cannot be used are named and left out.

    Raises NotFound when there is no such file, InputError when no name or no sample is given.
    """
    if not reader.strip():
        raise InputError("the reader's name", got="none", remedy="--by NAME")
    marks: dict[str, Mark] = {}
    samples: set[str] = set()
    bad: list[str] = []
    empty = 0
    for place, row in _lines(path):
        samples.add(str(row.get("sample_id", "")))
        try:
            mark = _mark(ws, row)
        except UserError as error:
            bad.append(f"{place}: " + str(error).replace("\n", "; "))
            continue
        if mark is None:
            empty += 1
        else:
            marks[str(row.get("row_id"))] = mark
    sample = _sample_of(ws, samples, path)
    known = {row.id for row in sample.detail.rows}
    bad += [f"{path}: row {one} is not in {sample.id}" for one in marks if one not in known]
    marks = {one: mark for one, mark in marks.items() if one in known}
    reading = save_reading(ws, sample, reader.strip(), marks) if marks else None
    return Read(reading, len(marks), empty, tuple(bad))


def _sample_of(ws: Workspace, names: set[str], path: Path) -> Sample:
    if len(names) != 1:
        raise InputError("rows of one sample", got=f"{len(names)} in {path}", remedy="one each")
    return get_sample(ws, names.pop())


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Json]]]:
    if not path.is_file():
        raise NotFound("a sheet", got=f"no file {path}", remedy="check the name")
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    if path.suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield f"{path}:{number}", _parsed(line, f"{path}:{number}")
        return
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"sample_id", "row_id", "missed"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(
            f"the columns {', '.join(sorted(missing))}",
            got=f"{path} without them",
            remedy="give the sheet that was drawn, saved as CSV with commas between cells",
        )
    for number, row in enumerate(reader, start=2):
        yield f"{path}, row {number}", row


def _parsed(line: str, place: str) -> Mapping[str, Json]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("a JSON object", got=f"{place}: {str(error)[:60]}") from error
    if not isinstance(row, dict):
        raise InputError("a JSON object", got=f"{place}: {type(row).__name__}")
    return row


def _mark(ws: Workspace, row: Mapping[str, Json]) -> Mark | None:
    """Read one row's marks; None: it was not read."""
    said = str(row.get("missed") or "").strip()
    if not said:
        return None
    wrong = str(row.get("wrong") or "0").strip()
    if not wrong.isdigit():
        raise InputError("a number in wrong", got=f"{len(wrong)} characters that are none")
    missed: dict[str, set[str]] = {}
    for part in [] if said.casefold() == NONE else said.split("|"):
        kind, text = _kind_and_text(part)
        if text:
            value = ws.sealed.group_hash(f"missed {kind} {' '.join(text.casefold().split())}")
            missed.setdefault(kind, set()).add(value)
    return Mark({kind: tuple(sorted(some)) for kind, some in sorted(missed.items())}, int(wrong))


def _kind_and_text(part: str) -> tuple[str, str]:
    kind, colon, text = part.partition(":")
    name = kind.strip().casefold().replace(" ", "_")
    if colon and name in kinds():
        return name, text.strip()
    if colon and name.isidentifier() and len(name) < 24 and " " not in kind.strip():
        raise InputError(
            "a kind of identifier before the colon", got=name, remedy=nearest(name, kinds())
        )
    return UNNAMED, part.strip()


def show_row(ws: Workspace, sample: Sample, row_id: str, *, actor: str | None = None) -> Texts:
    """Open one row's texts, before and after; audited. Raises NotFound."""
    row = next((one for one in sample.detail.rows if one.id.startswith(row_id)), None)
    if row is None:
        raise NotFound("a row of the sample", got=repr(row_id), remedy="the sheet names them")
    return loads(Texts, ws.sealed.open(row.sealed_id, actor=actor, purpose="sign-off original"))
