"""CSV: one row per answer.

item_id, person, state, <one column per question>, comment, flags, seconds, created_at,
answered_at, guideline, counts, role, <one column per text shown>

An item without answers has one row without a person. Lists and objects are JSON. Texts that a
spreadsheet would take for a formula get an apostrophe in front, which reading takes off again.
A table has no place for suggestions and metadata: use Argilla's or Label Studio's shape for those.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TextIO

from metier.annotate.exchange.asking import asked_of, guessed
from metier.annotate.exchange.residue import loaded
from metier.annotate.exchange.screen import fields_of, shown_of
from metier.annotate.exchange.spread import gather, questions, spread
from metier.annotate.exchange.types import Answer, Asked, Exchanged, Packet, Refused
from metier.core.codec import dumps
from metier.core.errors import InputError
from metier.core.types import Json
from metier.queue.forms import FormField

BEFORE = ("item_id", "person", "state")
AFTER = (
    "comment", "flags", "seconds", "created_at", "answered_at", "guideline", "counts", "role",
)  # fmt: skip
SHOWN = "shown."
WORDS = ("text", "label", "comparison")
"""Questions whose answers are texts, whatever these look like."""
STATES = ("done", "draft", "skipped")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def write_csv(items: Iterable[Exchanged], asked: Asked, out: TextIO) -> int:
    """Write items as CSV; return how many rows."""
    found = list(items)
    names = [one.name for one in questions(asked)]
    texts = list(dict.fromkeys(name for one in found for name in fields_of(one.shown)))
    header = [*BEFORE, *names, *AFTER, *(SHOWN + name for name in texts)]
    writer = csv.DictWriter(out, header, lineterminator="\r\n", restval="")
    writer.writeheader()
    count = 0
    for item in found:
        shown = {SHOWN + name: _typed(text) for name, text in fields_of(item.shown).items()}
        for row in _rows(item, asked) or [{"item_id": _cell(item.id), "role": item.role}]:
            writer.writerow(row | shown)
            count += 1
    return count


def read_csv(text: str, file: str, asked: Asked | None = None) -> Packet:
    """Read what ``write_csv`` wrote, or a table of answers with columns item_id, person and one
    per question. ``asked`` None: told from the columns' values.

    Raises InputError where a column is missing.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a text may be long
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(reader.fieldnames or ())
    if "item_id" not in columns or "person" not in columns:
        raise InputError(
            f"columns item_id and person in {file}",
            got=", ".join(columns) or "an empty file",
            remedy="name them so, and give each question a column",
        )
    rows: list[tuple[int, dict[str, str]]] = []
    refused: list[Refused] = []
    for row in reader:
        if None in row or None in row.values():
            why = f"{len(columns)} cells were expected"
            refused.append(Refused(f"{file}:{reader.line_num}", why, "quote cells with commas"))
            continue
        rows.append((reader.line_num, row))
    own = asked or _asked(columns, [row for _, row in rows])
    return _packet(own, rows, file, refused)


def _packet(
    asked: Asked, rows: list[tuple[int, dict[str, str]]], file: str, refused: list[Refused]
) -> Packet:
    items: dict[str, dict[str, Any]] = {}
    for line, row in rows:
        place = f"{file}:{line}"
        try:
            item_id = _text(row["item_id"])
            if not item_id:
                raise ValueError("no item_id")
            answer = _answer(row, asked)
        except ValueError as error:
            refused.append(Refused(place, str(error), "correct the row, or take it out"))
            continue
        one = items.setdefault(item_id, {"answers": [], "row": row, "place": place})
        if answer is None:
            continue
        if any(answer.person == other.person for other in one["answers"]):
            why = f"a second answer of one person to {item_id}"
            refused.append(Refused(place, why, "keep one of the rows"))
            continue
        one["answers"].append(answer)
    made = tuple(_item(key, one) for key, one in items.items())
    return Packet(asked, made, tuple(refused))


def _item(item_id: str, one: Mapping[str, Any]) -> Exchanged:
    row: Mapping[str, str] = one["row"]
    texts = {
        name.removeprefix(SHOWN): _value(cell)
        for name, cell in row.items()
        if name.startswith(SHOWN) and cell != ""
    }
    role: Any = row.get("role") or "work"
    return Exchanged(item_id, shown_of(texts), tuple(one["answers"]), role=role, place=one["place"])


def _rows(item: Exchanged, asked: Asked) -> list[dict[str, str]]:
    return [
        {
            "item_id": _cell(item.id),
            "person": _cell(one.person),
            "state": one.state,
            **_cells(asked, one.value),
            "comment": _cell(one.comment),
            "flags": " ".join(one.flags),
            "seconds": "" if one.seconds is None else repr(one.seconds),
            "created_at": one.created_at.isoformat() if one.created_at else "",
            "answered_at": one.answered_at.isoformat() if one.answered_at else "",
            "guideline": "" if one.guideline_number is None else str(one.guideline_number),
            "counts": "yes" if one.counts else "no",
            "role": item.role,
        }
        for one in item.answers
    ]  # fmt: skip


def _answer(row: Mapping[str, str], asked: Asked) -> Answer | None:
    person = _text(row["person"])
    if not person:
        return None
    state: Any = row.get("state") or "done"
    if state not in STATES:
        raise ValueError(f"state {state!r}; it is one of {', '.join(STATES)}")
    given = {
        one.name: _given(one, row[one.name])
        for one in questions(asked)
        if row.get(one.name, "") != ""
    }
    seconds, number = row.get("seconds", ""), row.get("guideline", "")
    return Answer(
        person,
        state,
        gather(asked, given),
        created_at=_moment(row.get("created_at", "")),
        answered_at=_moment(row.get("answered_at", "")),
        seconds=_positive(seconds) if seconds else None,
        comment=_text(row.get("comment", "")),
        flags=tuple(row.get("flags", "").split()),
        guideline_number=int(number) if number else None,
        counts=row.get("counts") != "no",
    )


def _asked(columns: Iterable[str], rows: list[dict[str, str]]) -> Asked:
    taken = {*BEFORE, *AFTER}
    names = [name for name in columns if name not in taken and not name.startswith(SHOWN)]
    fields = [guessed(name, [_value(r[name]) for r in rows if r[name] != ""]) for name in names]
    return asked_of(fields, {})


def _given(question: FormField, cell: str) -> Json:
    if question.kind in WORDS:
        return _text(cell)
    return _value(cell)


def _cells(asked: Asked, value: Json) -> dict[str, str]:
    """The cells of one answer; an empty text is an apostrophe, as an empty cell is no answer."""
    given = spread(asked, value)
    return {
        one.name: "'"
        if given[one.name] == ""
        else (_cell if one.kind in WORDS else _typed)(given[one.name])
        for one in questions(asked)
        if one.name in given
    }


def _cell(value: Json) -> str:
    text = value if isinstance(value, str) else dumps(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _typed(value: Json) -> str:
    """A cell that ``_value`` reads as the same value: a text that looks like JSON is marked."""
    if not isinstance(value, str):
        return dumps(value)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return _cell(value)
    return f"'{value}"


def _text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell


def _value(cell: str) -> Json:
    if cell.startswith("'"):
        return cell[1:]
    return loaded(cell)


def _positive(cell: str) -> float:
    found = float(cell)
    if not 0 <= found < float("inf"):
        raise ValueError(f"seconds {cell!r}; it is 0 or more")
    return found


def _moment(cell: str) -> datetime | None:
    return datetime.fromisoformat(cell) if cell else None
