"""What people said in a queue, question by question, as agreement compares it.

kind of question    compared as             how far two answers are apart
label, comparison   the label               0 or 1
labels              the set                 MASI
rating              a place on the scale    steps over the length of the scale
number              the number              0 or 1
spans               stretches and labels    1 - F1 of the characters
text                the words               1 - F1 of the words
json                the whole value         0 or 1
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metier.core.types import Json
from metier.queue.forms import Form, FormField, form_from, values_of
from metier.queue.types import Assignment, Item, Queue
from metier.scoring.statistics.agreement_answers import Value
from metier.scoring.statistics.agreement_sets import characters, f1_distance, masi, words

SIDES = ("a", "b")
PREFERRED = FormField("preferred", "comparison", "Which is better")


@dataclass(frozen=True, slots=True)
class Said:
    """One person's answer to one question about one thing. ``unit`` is the item, or of two replies
    the item and the reply; ``value`` None: they could not tell, or it did not apply."""

    unit: str
    item: str
    person: str
    value: Value | None
    at: datetime | None
    twin_of: str | None
    subject: str


def questions(queue: Queue) -> tuple[FormField, ...]:
    """The questions of a queue; of a panel its dimensions, and which of two is better."""
    form = form_from(queue.form) if queue.form else Form(())
    if queue.kind != "review":
        return form.fields
    ratings = tuple(one for one in form.fields if one.kind == "rating")
    compares = any(one.kind == "comparison" for one in form.fields)
    mode = (queue.settings or {}).get("mode")
    return ratings + ((PREFERRED,) if compares or mode == "compare" else ())


def said_of(
    queue: Queue, pairs: Iterable[tuple[Item, Assignment]]
) -> dict[str, tuple[FormField, list[Said]]]:
    """Everything that was said, by the name of the question; what was not asked is not in it."""
    found: dict[str, tuple[FormField, list[Said]]] = {q.name: (q, []) for q in questions(queue)}
    form = form_from(queue.form) if queue.form else Form(())
    for item, one in pairs:
        for name, unit, value in _parts(queue, form, one.answer):
            if name in found:
                question, rows = found[name]
                known = None if value is None else comparable(question, value)
                rows.append(
                    Said(
                        f"{item.id}{unit}",
                        item.id,
                        one.person,
                        known,
                        one.answered_at,
                        item.twin_of if item.role == "duplicate" else None,
                        f"{item.subject_id}{unit}",
                    )
                )
    return found


def comparable(question: FormField, value: Json) -> Value:
    """Return an answer as something that can be compared and counted."""
    if question.kind == "labels":
        return frozenset(str(one) for one in value)
    if question.kind == "spans":
        return frozenset((one["start"], one["end"], one["label"]) for one in value)
    if question.kind == "rating":
        return int(value)
    if question.kind == "number":
        return float(value)
    if question.kind == "json" or isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return str(value) if question.kind in ("text", "comparison") else _plain(value)


def distance(question: FormField, first: Any, second: Any) -> float:
    """Return how far two answers to a question are apart, 0 to 1."""
    if question.kind == "labels":
        return masi(first, second)
    if question.kind == "spans":
        return f1_distance(characters)(first, second)
    if question.kind == "text":
        return 0.0 if first == second else max(f1_distance(words)(first, second), 0.01)
    if question.kind == "rating":
        return float(abs(first - second) / max(question.high - question.low, 1))
    return float(first != second)


def possible(question: FormField) -> tuple[Value, ...]:
    """Return the answers a question allows, in their order, where there are few."""
    if question.kind == "rating":
        return tuple(range(question.low, question.high + 1))
    if question.kind == "comparison":
        return ("a", "tie", "b")
    return tuple(question.options) if question.kind == "label" else ()


def _plain(value: Any) -> Value:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _parts(queue: Queue, form: Form, answer: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield (question, unit's suffix, value) of one answer; value None: nothing was said."""
    if queue.kind != "review":
        values = values_of(form, answer)
        for one in form.fields:
            yield one.name, "", values.get(one.name)
        return
    given: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    ratings = given.get("ratings") or {}
    sides = [one for one in SIDES if isinstance(ratings.get(one), Mapping)]
    for name, value in [] if sides else ratings.items():
        yield name, "", value
    for side in sides:
        for name, value in ratings[side].items():
            yield name, f":{side}", value
    if given.get("preferred") is not None or answer is None:
        yield PREFERRED.name, "", given.get("preferred")
