"""Files of predictions: which columns hold what, and one item per row, checked.

    {"id": "17", "prediction": "billing", "reference": "delivery", "system": "rules"}

Names are guessed from lists of the usual ones; what was guessed is always told. Every row counts:
one that cannot be read, or lacks a reference, is an error with its place, since leaving it out
would change the score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from metier.core.errors import InputError, nearest
from metier.core.types import Json
from metier.evaluate.files.scores import read_scores
from metier.sources import BadRow, Row, SourceConfig, read_rows

NAMES: dict[str, tuple[str, ...]] = {
    "prediction": (
        *("prediction", "predictions", "predicted", "pred", "y_pred", "model_output", "got"),
        *("generated", "generation", "hypothesis", "output", "response", "completion", "answer"),
    ),
    "reference": (
        *("reference", "references", "expected", "target", "label", "labels", "gold", "truth"),
        *("ground_truth", "y_true", "actual", "correct", "correct_answer", "answers", "answer"),
        *("completion", "output"),
    ),
    "id": ("id", "example_id", "item_id", "uid", "qid", "key", "_key"),
    "group": (
        *("group", "cluster", "patient", "patient_id", "customer", "customer_id"),
        *("conversation", "conversation_id", "session", "session_id", "document_id"),
    ),
    "system": ("system", "model", "model_name", "run", "engine"),
    "score": ("score", "rating", "grade"),
    "latency": ("latency_s", "latency", "seconds", "duration_s"),
    "scores": ("scores", "label_scores", "probabilities", "probs", "logprobs", "choice_logprobs"),
    "first_token": ("first_token_s", "time_to_first_token_s", "ttft_s", "ttft"),
    "handling": ("handling_s", "handling_time_s", "handling_seconds"),
    "turn": ("turn", "turn_number", "turn_index"),
}
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; None: guessed, or there is none."""

    prediction: str | None = None
    reference: str | None = None
    id: str | None = None
    group: str | None = None
    system: str | None = None
    score: str | None = None
    latency: str | None = None
    scores: str | None = None
    first_token: str | None = None
    handling: str | None = None
    turn: str | None = None

    def named(self) -> dict[str, str]:
        """Return the roles that have a column."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {role: column for role, column in pairs if column is not None}


@dataclass(frozen=True, slots=True)
class Item:
    """One answer of one system. ``place`` is ``file:line``; ``id`` pairs it across systems;
    ``scores`` are log-probabilities by label, ``turn`` the place in the conversation (the group).
    """

    id: str
    place: str
    system: str
    prediction: Json
    reference: Json
    group: str = ""
    score: float | None = None
    latency_s: float | None = None
    scores: Mapping[str, float] | None = None
    first_token_s: float | None = None
    handling_s: float | None = None
    turn: float | None = None


def read_table(path: Path) -> list[Row]:
    """Read all rows. Raises InputError for a missing, empty or damaged file, or a bad row."""
    rows = list(read_rows(SourceConfig(path=str(path)), Path()))
    bad = [row for row in rows if isinstance(row, BadRow)]
    if bad:
        shown = "; ".join(f"{row.place or row.locator}: {row.reason}" for row in bad[:SHOWN])
        raise InputError(
            "a file whose every row can be read",
            got=f"{len(bad)} of {len(rows)} rows cannot: {shown}",
            remedy="repair or remove them; scores over the rest alone would be other scores",
        )
    good = [row for row in rows if isinstance(row, Row)]
    if not good:
        raise InputError(
            "a file with rows", got=f"{path}: no rows", remedy="write one row per prediction"
        )
    return good


def find_columns(
    rows: Sequence[Row], path: Path, given: Columns, roles: Sequence[str] = tuple(NAMES)
) -> Columns:
    """Fill those of ``roles`` that ``given`` leaves open by the columns' names.

    Raises InputError when a given column does not exist.
    """
    known = list(dict.fromkeys(name for row in rows for name in row.values))
    taken = given.named()
    for role, column in taken.items():
        if column not in known:
            raise InputError(
                f"a column {column!r} in {path.name} (for {role})",
                got=f"the columns {', '.join(known)}",
                remedy=nearest(column, known),
            )
    for role in roles:
        if role not in taken:
            free = {_plain(c): c for c in reversed(known) if c not in taken.values()}
            found = next((free[name] for name in NAMES[role] if name in free), None)
            if found is not None:
                taken[role] = found
    return replace(given, **taken)


def _plain(column: str) -> str:
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def need_column(columns: Columns, role: str, rows: Sequence[Row], path: Path) -> str:
    """Return the column of a role. Raises InputError that says how to name it."""
    column: str | None = getattr(columns, role)
    if column is None:
        known = list(dict.fromkeys(name for row in rows for name in row.values))
        raise InputError(
            f"a column with the {role} in {path.name}, such as {', '.join(NAMES[role][:4])}",
            got=f"the columns {', '.join(known)}",
            remedy=f"name it with --{role} COLUMN"
            + (", or give a file of references" if role == "reference" else ""),
        )
    return column


def read_items(
    rows: Sequence[Row], path: Path, columns: Columns, system: str | None = None
) -> list[Item]:
    """Return one item per row; ``system`` overrides the column (default: the file's name)."""
    own = _strings(rows, columns.system, path) if columns.system else [path.stem] * len(rows)
    names = own if system is None else [system] * len(rows)
    ids = _strings(rows, columns.id, path) if columns.id else _positions(names)
    scores = read_scores(rows, columns.scores)
    items = [
        Item(
            id=id,
            place=row.place,
            system=name,
            prediction=_cell(row, columns.prediction),
            reference=_cell(row, columns.reference),
            group=_text(row.values.get(columns.group)) if columns.group else "",
            score=_number(row, columns.score),
            latency_s=_number(row, columns.latency),
            scores=own_scores,
            first_token_s=_number(row, columns.first_token),
            handling_s=_number(row, columns.handling),
            turn=_number(row, columns.turn),
        )
        for row, id, name, own_scores in zip(rows, ids, names, scores, strict=True)
    ]
    refuse_duplicates(items)
    return items


def _positions(names: Sequence[str]) -> list[str]:
    """Without ids the n-th row of each system is the same item."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(f"row {seen[name]}")
    return found


def _strings(rows: Sequence[Row], column: str, path: Path) -> list[str]:
    found = [_text(row.values.get(column)) for row in rows]
    empty = [row.place for row, text in zip(rows, found, strict=True) if not text]
    if empty:
        raise InputError(
            f"a value in column {column!r} on every row",
            got=f"{len(empty)} rows without one, first {empty[0]}",
            remedy=f"fill them, or name another column of {path.name}",
        )
    return found


def _cell(row: Row, column: str | None) -> Json:
    """A cell with white space around it cut; lists and objects written as JSON are read."""
    value = row.values.get(column) if column else None
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text[:1] + text[-1:] in ("[]", "{}"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _text(value: Json) -> str:
    return "" if value is None else str(value).strip()


def _number(row: Row, column: str | None) -> float | None:
    value = row.values.get(column) if column else None
    if value is None or isinstance(value, bool | list | dict) or value == "":
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def refuse_duplicates(items: Sequence[Item]) -> None:
    """Raise InputError when a system answered one item twice."""
    places: dict[tuple[str, str], str] = {}
    for item in items:
        key = (item.system, item.id)
        if key in places:
            raise InputError(
                "each id once per system",
                got=f"id {item.id!r} of {item.system!r} at {places[key]} and at {item.place}",
                remedy="remove one of them, or name the column that tells systems apart (--system)",
            )
        places[key] = item.place


def join_references(items: Sequence[Item], references: Mapping[str, Item]) -> list[Item]:
    """Give every item the reference (and group) of its id. Raises InputError where there is none.

    References that no system answered are an error too: a missing answer is not a right one.
    """
    missing = [item for item in items if item.id not in references]
    if missing:
        raise InputError(
            "a reference for every prediction",
            got=f"none for {len(missing)} of {len(items)}, first id {missing[0].id!r} "
            f"at {missing[0].place}",
            remedy="check that both files use the same ids",
        )
    for system in dict.fromkeys(item.system for item in items):
        answered = {item.id for item in items if item.system == system}
        left = [item for id, item in references.items() if id not in answered]
        if left:
            raise InputError(
                f"an answer of {system!r} to every reference",
                got=f"none to {len(left)} of {len(references)}, first id {left[0].id!r} "
                f"at {left[0].place}",
                remedy="add a row with an empty prediction where there was no answer",
            )
    return [
        replace(
            item,
            reference=references[item.id].reference,
            group=item.group or references[item.id].group,
        )
        for item in items
    ]


def check_references(items: Sequence[Item]) -> None:
    """Raise InputError for items without a reference, or with two different ones."""
    without = [item for item in items if item.reference is None or item.reference == ""]
    if without:
        raise InputError(
            "a reference on every row",
            got=f"{len(without)} of {len(items)} rows without one, first {without[0].place}",
            remedy="fill or remove those rows, or name the right column with --reference",
        )
    first: dict[str, Item] = {}
    for item in items:
        other = first.setdefault(item.id, item)
        if other.reference != item.reference:
            raise InputError(
                f"the same reference for id {item.id!r} in every system",
                got=f"{str(other.reference)[:40]!r} at {other.place}, "
                f"{str(item.reference)[:40]!r} at {item.place}",
                remedy="give items the same id only when they are the same (name it with --id)",
            )


def check_scores(items: Sequence[Item], column: str) -> None:
    """Raise InputError for items whose score is missing or not a finite number."""
    bad = [item for item in items if item.score is None]
    if bad:
        raise InputError(
            f"a finite number in column {column!r} on every row",
            got=f"{len(bad)} of {len(items)} rows without one (empty, NaN or text), "
            f"first {bad[0].place}",
            remedy="fill or remove those rows",
        )
