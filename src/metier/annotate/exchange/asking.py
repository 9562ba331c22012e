"""What is asked, told from a tool's settings, or guessed from the answers in its records.

A question's answers say what it is: stretches of text, lists, numbers, one of few words, or text.
One string is a label where it is short (at most 60 characters) and comes again: no more than half
as many strings as answers, or fewer than four in all, and none with an identifier in it. To be
sure, give the tool's own settings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from metier.annotate.exchange import argilla, label_studio
from metier.annotate.exchange.types import Asked
from metier.core.types import Json
from metier.queue.clear import clear_text
from metier.queue.forms import ANSWER, FieldKind, Form, FormField

LONGEST_LABEL = 60
FEW = 4
MOST_RATING = 10


def asked_in_argilla(records: Iterable[Mapping[str, Any]]) -> Asked:
    """Guess what was asked from the answers and suggestions in Argilla records."""
    values: dict[str, list[Json]] = defaultdict(list)
    for record in records:
        for name, value in argilla.values_given(record):
            values[name].append(value)
    return asked_of([guessed(name, found) for name, found in values.items()], {})


def asked_in_label_studio(tasks: Iterable[Mapping[str, Any]]) -> Asked:
    """Guess what was asked from the results in Label Studio tasks."""
    rows: dict[str, list[list[Mapping[str, Any]]]] = defaultdict(list)
    for task in tasks:
        for results in label_studio.results_of(task):
            by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
            for one in results:
                if one.get("from_name") and isinstance(one.get("value"), Mapping):
                    by_name[str(one["from_name"])].append(one)
            for name, found in by_name.items():
                rows[name].append(found)
    wiring = {name: _wire(found[0][0]) for name, found in rows.items()}
    return asked_of([_seen(name, found) for name, found in rows.items()], wiring)


def asked_of(fields: Sequence[FormField], wiring: Mapping[str, Mapping[str, str]]) -> Asked:
    """The form of these questions. The only one is named "answer", as metier has it; its wiring
    keeps the name it has in the tool."""
    if len(fields) != 1:
        found = tuple(fields) or (FormField(ANSWER, "text", "Answer"),)
        return Asked(Form(found), wiring=dict(wiring))
    (one,) = fields
    wire = {**wiring.get(one.name, {}), "name": one.name}
    bare = FormField(
        ANSWER, one.kind, one.title, one.about, one.options, True, one.low, one.high, one.anchors
    )
    return Asked(Form((bare,)), wiring={ANSWER: wire})


def guessed(name: str, values: Sequence[Json]) -> FormField:
    """The question that has such answers."""
    given = [one for one in values if one is not None]
    title = name.replace("_", " ").capitalize()
    if given and all(isinstance(one, list) for one in given):
        parts = [part for one in given for part in one]
        if parts and all(isinstance(part, Mapping) for part in parts):
            marked = all({"start", "end"} <= set(part) for part in parts)
            labels = _distinct(part.get("label") for part in parts)
            return FormField(name, "spans" if marked else "json", title, options=labels)
        return FormField(name, "labels", title, options=_distinct(parts))
    if given and all(type(one) is int for one in given):
        low, high = min(given), max(given)
        if low >= 0 and high <= MOST_RATING:
            low, high = min(low, 1), max(high, 5)
            return FormField(name, "rating", title, low=low, high=high)
    if given and all(isinstance(one, int | float) and not isinstance(one, bool) for one in given):
        return FormField(name, "number", title)
    if not all(isinstance(one, str) for one in given):
        return FormField(name, "json", title)
    options = _distinct(given)
    if set(options) <= {"a", "b", "tie"} and {"a", "b"} & set(options):
        return FormField(name, "comparison", title)
    if _closed(options, len(given)):
        return FormField(name, "label", title, options=options)
    return FormField(name, "text", title)


def _closed(options: Sequence[str], count: int) -> bool:
    short = all(len(one) <= LONGEST_LABEL and "\n" not in one for one in options)
    few = len(options) < FEW or 2 * len(options) <= count
    # What holds an identifier was typed: no label, and to be de-identified.
    return bool(options) and short and few and all(clear_text(one) == one for one in options)


def _seen(name: str, rows: Sequence[Sequence[Mapping[str, Any]]]) -> FormField:
    """The question behind results of one name; ``rows`` are those of each annotation."""
    first = rows[0][0]
    kind, value = str(first.get("type")), first["value"]
    title = name.replace("_", " ").capitalize()
    every = [row for found in rows for row in found]
    if "start" in value and "end" in value and kind in value:
        return FormField(name, "spans", title, options=_labels_of(every, kind))
    if kind == "choices":
        many = any(len(found) > 1 or len(found[0]["value"].get(kind) or []) > 1 for found in rows)
        options = _labels_of(every, kind)
        return FormField(name, "labels" if many else "label", title, options=options)
    if kind == "taxonomy":
        return FormField(name, "labels", title, options=_labels_of(every, kind))
    if kind == "rating":
        top = max((_whole(row["value"].get(kind)) for row in every), default=5)
        return FormField(name, "rating", title, high=max(top, 5))
    plain = {"textarea": "text", "number": "number", "pairwise": "comparison"}
    return FormField(name, cast(FieldKind, plain.get(kind, "json")), title)


def _labels_of(rows: Iterable[Mapping[str, Any]], kind: str) -> tuple[str, ...]:
    given = [one for row in rows for one in row["value"].get(kind) or []]
    joined = label_studio.BETWEEN.join
    return _distinct(joined(map(str, one)) if isinstance(one, list) else one for one in given)


def _wire(row: Mapping[str, Any]) -> dict[str, str]:
    return {"type": str(row.get("type")), "to_name": str(row.get("to_name"))}


def _distinct(values: Iterable[Json]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one) for one in values))


def _whole(value: Json) -> int:
    return value if type(value) is int else 0
