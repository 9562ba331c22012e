"""Files of other tools: read into a packet, and written from one.

format         file
argilla        records, as JSON or JSON lines
label_studio   tasks, as JSON (what its JSON export writes) or JSON lines
csv            one row per answer
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from metier.annotate.exchange import argilla, asking, label_studio
from metier.annotate.exchange import settings as tool_settings
from metier.annotate.exchange.residue import DEEPEST, is_deep
from metier.annotate.exchange.screen import fields_of
from metier.annotate.exchange.table import read_csv, write_csv
from metier.annotate.exchange.types import Asked, Exchanged, Packet, Record, Refused
from metier.core.artifacts import write_atomically
from metier.core.errors import InputError, nearest
from metier.core.types import Json

Format = Literal["argilla", "label_studio", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
LINES = (".jsonl", ".ndjson")
_READ: dict[str, Callable[..., Exchanged]] = {
    "argilla": argilla.from_argilla,
    "label_studio": label_studio.from_label_studio,
}
_WRITE: dict[str, Callable[[Exchanged, Asked], Record]] = {
    "argilla": argilla.to_argilla,
    "label_studio": label_studio.to_label_studio,
}
_GUESS: dict[str, Callable[[Sequence[Mapping[str, Any]]], Asked]] = {
    "argilla": asking.asked_in_argilla,
    "label_studio": asking.asked_in_label_studio,
}
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
REMEDY = "correct the record, or take it out of the file"


def format_of(name: str, path: Path | None = None) -> Format:
    """The format of this name; "" is told from the file's name or its first record."""
    if not name and path is not None:
        if path.suffix.lower() == ".csv":
            return "csv"
        first = next(iter(_records(path)), None)
        found = first[1] if first else None
        if isinstance(found, Mapping):
            return "label_studio" if "data" in found else "argilla"
    for known in FORMATS:
        if name.replace("-", "_").lower() == known:
            return known
    raise InputError("a format", got=repr(name), remedy=nearest(name, FORMATS))


def read_packet(path: Path, form: str = "", settings: Path | None = None) -> Packet:
    """Read a file. ``settings``: the tool's own, which say what was asked for sure.

    Bad records are named in the packet's ``refused``. Raises InputError for a file that is none of
    these, or settings that cannot be read.
    """
    known = format_of(form, path)
    asked, guideline = (None, "") if settings is None else read_settings(settings, known)
    if known == "csv":
        try:
            return replace(read_csv(_text(path), path.name, asked), guideline=guideline)
        except csv.Error as error:
            raise InputError("a table in CSV", got=f"{path.name}: {error}") from error
    records: list[tuple[str, Record]] = []
    refused: list[Refused] = []
    for place, record in _records(path):
        if is_deep(record):
            refused.append(Refused(place, f"nested more than {DEEPEST} deep", REMEDY))
        elif isinstance(record, Mapping):
            records.append((place, dict(record)))
        else:
            refused.append(
                Refused(place, record if isinstance(record, str) else "no object", REMEDY)
            )
    own = asked or _guess(known, records, refused)
    return Packet(own, tuple(_items(known, records, own, refused)), tuple(refused), guideline)


def write_packet(packet: Packet, path: Path, form: str = "") -> int:
    """Write a packet to a file; return how many records (rows of CSV)."""
    known = format_of(form or _by_suffix(path))
    text, count = written(packet, known, lines=path.suffix.lower() in LINES)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, io.BytesIO(text.encode("utf-8", "surrogatepass")))
    return count


def written(packet: Packet, form: Format, *, lines: bool = False) -> tuple[str, int]:
    """A packet as the text of a file, and how many records it has."""
    if form == "csv":
        out = io.StringIO()
        count = write_csv(packet.items, packet.asked, out)
        return out.getvalue(), count
    records = [_WRITE[form](one, packet.asked) for one in packet.items]
    if lines:
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), len(records)
    return json.dumps(records, ensure_ascii=False, indent=1) + "\n", len(records)


def read_settings(path: Path, form: Format) -> tuple[Asked, str]:
    """What is asked and the guidelines, from a tool's settings."""
    text = _text(path)
    if form == "label_studio" or path.suffix.lower() == ".xml":
        return tool_settings.read_label_studio_config(text), ""
    try:
        return tool_settings.read_argilla_settings(json.loads(text))
    except ValueError as error:
        raise InputError("settings as JSON", got=f"{path.name}: {error}") from error


def settings_text(packet: Packet, form: Format) -> str:
    """The settings that a tool needs to show these records."""
    texts = list(dict.fromkeys(name for one in packet.items for name in fields_of(one.shown)))
    if form == "label_studio":
        return tool_settings.label_studio_config(packet.asked, texts)
    made = tool_settings.argilla_settings(packet.asked, packet.guideline, texts)
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def _items(
    form: Format, records: list[tuple[str, Record]], asked: Asked, refused: list[Refused]
) -> Iterator[Exchanged]:
    for number, (place, record) in enumerate(records, 1):
        try:
            yield replace(_READ[form](record, asked, str(number)), place=place)
        except UNREADABLE as error:
            refused.append(Refused(place, _why(error), REMEDY))


def _guess(form: Format, records: list[tuple[str, Record]], refused: list[Refused]) -> Asked:
    """Guess what was asked from the records that can be read at all."""
    fine = []
    for place, record in list(records):
        try:
            _GUESS[form]([record])
            fine.append(record)
        except UNREADABLE as error:
            refused.append(Refused(place, _why(error), REMEDY))
            records.remove((place, record))
    return _GUESS[form](fine)


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no {error}"
    if isinstance(error, ValueError) and str(error).startswith("no "):
        return str(error)
    return f"it is not shaped like the tool's records ({type(error).__name__})"


def _records(path: Path) -> Iterator[tuple[str, Json]]:
    """(file:line or file#number, record; a text instead says why there is none)."""
    text = _text(path)
    if path.suffix.lower() not in LINES and text.lstrip()[:1] == "[":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError("a JSON list", got=f"{path.name}: {error}") from error
        for number, record in enumerate(found, 1):
            yield f"{path.name}#{number}", record
        return
    for line, row in enumerate(text.splitlines(), 1):
        if row.strip():
            yield f"{path.name}:{line}", _loaded(row)


def _loaded(row: str) -> Json:
    try:
        return json.loads(row)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("a file in UTF-8", got=f"{path.name}: byte {error.start}") from error


def _by_suffix(path: Path) -> str:
    return "csv" if path.suffix.lower() == ".csv" else "argilla"
