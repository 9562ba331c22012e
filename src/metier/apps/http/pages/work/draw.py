"""Forms as pages draw them, and what was filled in as the form's answer.

kind         drawn as                                              given as
label        radio buttons; with a filter when there are many      v:answer=card_lost
labels       check boxes, likewise                                 v:answer=a & v:answer=b
spans        marks in the text itself; one hidden field            v:answer=[{"start": 0, …}]
text         a text box that begins with what is to be corrected   v:answer=…
number       a number box                                          v:days=3
json         a text box                                            v:tags=["x"]
rating       a radio button for each point, with its words         v:accuracy=4
comparison   three radio buttons                                   v:preferred=a
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData

from metier.apps.http.pages.frame import Row
from metier.core.errors import InputError
from metier.core.types import Json
from metier.models.prompt import spoken
from metier.queue.forms import ANSWER, Form, FormField, values_of

PREFIX = "v:"
FILTER_FROM = 13
"""Options from which a list can be filtered by typing."""
KEYS = 9
SIDES = {"a": "A is better", "b": "B is better", "tie": "Equally good"}
YES_NO = {"true": "yes", "false": "no"}


def draw_fields(form: Form, value: Json | None, begin: Mapping[str, Json]) -> list[Row]:
    """The fields to draw, filled with an answer, else with what they begin with."""
    known = values_of(form, value) if value is not None else dict(begin)
    return [_drawn(one, known.get(one.name), begin.get(one.name)) for one in form.fields]


def read_fields(form: Form, given: FormData) -> Json:
    """What was filled in, in the form's shape; whether it fits is checked when it is stored.

    Raises InputError for a number or JSON that cannot be read.
    """
    found = {one.name: _read(one, given) for one in form.fields}
    known = {name: value for name, value in found.items() if value is not None}
    return known.get(ANSWER) if form.is_bare else known


def value_words(form: Form, value: Json | None, most: int = 40, text: str = "") -> str:
    """An answer in a few words; marked stretches with their words, where ``text`` is given."""
    if value is None:
        return "no answer"
    spans = {one.name for one in form.fields if text and one.kind == "spans"}
    parts = [
        _stretches(one, text) if name in spans else _words(one)
        for name, one in values_of(form, value).items()
    ]
    words = " · ".join(" ".join(part.split()) for part in parts if part) or "none"
    return words if len(words) <= most else words[: most - 1] + "…"


def _drawn(one: FormField, value: Json, begin: Json) -> Row:
    row: Row = {
        "name": PREFIX + one.name,
        "title": one.title,
        "about": one.about,
        "kind": one.kind,
        "required": one.required,
        "options": _options(one, value),
        "text": _text(value),
        "begin": begin if isinstance(begin, str) and one.kind == "text" else None,
        "whole": "integer" in str((one.schema or {}).get("type", "")),
        "anchors": [one.anchors.get(str(point), "") for point in (one.low, one.high)],
    }
    return row | {"filter": len(row["options"]) >= FILTER_FROM}


def _options(one: FormField, value: Json) -> list[Row]:
    named: dict[str, str] = {option: spoken(option) for option in one.options}
    if one.kind == "rating":
        named = {
            str(point): f"{point} {one.anchors.get(str(point), '')}".strip()
            for point in range(one.low, one.high + 1)
        }
    elif one.kind == "comparison":
        named = SIDES
    elif (one.schema or {}).get("type") == "boolean":
        named = YES_NO
    chosen = [_plain(v) for v in (value if isinstance(value, list) else [value])]
    return [
        {
            "value": option,
            "text": words,
            "key": str(place) if place <= KEYS else "",
            "chosen": one.kind != "spans" and option in chosen,
        }
        for place, (option, words) in enumerate(named.items(), start=1)
    ]


def _read(one: FormField, given: FormData) -> Json:
    name = PREFIX + one.name
    if one.kind == "labels":
        return [str(v) for v in given.getlist(name) if v]
    text = str(given.get(name, ""))
    if one.kind == "text":
        return text.replace("\r\n", "\n")
    if not text.strip():
        return [] if one.kind == "spans" else None
    if one.kind in ("number", "rating", "json", "spans"):
        return _parsed(one, text)
    return text


def _parsed(one: FormField, text: str) -> Json:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        kind = "a number" if one.kind in ("number", "rating") else "JSON"
        raise InputError(f"{one.title} as {kind}", got=repr(text[:40])) from None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _plain(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _stretches(value: Json, text: str) -> str:
    marked = (f"{spoken(one['label'])} “{text[one['start'] : one['end']]}”" for one in value or ())
    return ", ".join(marked)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, Mapping):
        return str(value.get("label", json.dumps(dict(value), ensure_ascii=False)))
    return spoken(value) if isinstance(value, str) else str(value)
