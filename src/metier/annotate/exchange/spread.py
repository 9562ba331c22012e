"""Values of forms as one plain value per question, which is how other tools have them.

label, bare      "billing"                          {"answer": "billing"}
label, fields    {"route": "billing", "note": "…"}  the same
review           {"ratings": {"tone": 4}, …}        {"tone": 4, …}
review of two    {"ratings": {"a": {"tone": 4}}}    {"a_tone": 4, …}

and what a panel asks beside ratings: preferred, wrong (marked words), better (a text),
not_applicable (dimensions), harm (a text).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from metier.annotate.exchange.types import Asked
from metier.core.types import Json
from metier.queue.forms import ANSWER, FormField

SIDES = ("a", "b")
WRONG = "wrong"
BESIDE = ("preferred", "wrong", "better", "not_applicable", "harm")


def questions(asked: Asked) -> tuple[FormField, ...]:
    """The questions as other tools have them, in order."""
    if asked.kind != "review":
        return asked.form.fields
    rated = [one for one in asked.form.fields if one.kind == "rating"]
    names = tuple(one.name for one in rated)
    both = [
        replace(one, name=f"{side}_{one.name}", title=f"{one.title} ({side})", required=False)
        for side in SIDES
        for one in rated
    ]
    return (
        *(replace(one, required=False) for one in rated),
        *both,
        FormField("preferred", "comparison", "Which is better?", required=False),
        FormField("wrong", "spans", "Wrong words", options=(WRONG,), required=False),
        FormField("better", "text", "A better reply", required=False),
        FormField("not_applicable", "labels", "Not applicable", options=names, required=False),
        FormField("harm", "text", "Potential harm", required=False),
    )


def spread(asked: Asked, value: Json) -> dict[str, Json]:
    """One value per question. What fits no question is left out: see ``carried``."""
    if asked.kind == "review":
        return _review(value) if isinstance(value, Mapping) else {}
    if asked.form.is_bare:
        return {} if value is None else {ANSWER: value}
    return dict(value) if isinstance(value, Mapping) else {}


def gather(asked: Asked, given: Mapping[str, Json]) -> Json:
    """The form's value from one value per question; None where nothing was said."""
    if not given:
        return None
    if asked.kind == "review":
        return _gathered(asked, given)
    if asked.form.is_bare and set(given) == {ANSWER}:
        return given[ANSWER]
    return dict(given)


def _review(value: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    ratings = value.get("ratings")
    for name, one in (ratings if isinstance(ratings, Mapping) else {}).items():
        if isinstance(one, Mapping):
            found |= {f"{name}_{dimension}": rated for dimension, rated in one.items()}
        else:
            found[name] = one
    for name in BESIDE:
        if name in value:
            found[name] = value[name]
    if isinstance(found.get("wrong"), list):
        found["wrong"] = [_labelled(one) for one in found["wrong"]]
    return found


def _labelled(span: Json) -> Json:
    return {**span, "label": WRONG} if isinstance(span, Mapping) else span


def _gathered(asked: Asked, given: Mapping[str, Json]) -> Json:
    names = {one.name for one in asked.form.fields}
    found: dict[str, Json] = {name: given[name] for name in BESIDE if name in given}
    ratings: dict[str, Json] = {}
    for name, value in given.items():
        side, _, dimension = name.partition("_")
        if name in BESIDE:
            continue
        if side in SIDES and dimension in names and name not in names:
            ratings.setdefault(side, {})[dimension] = value
        else:
            ratings[name] = value
    if isinstance(found.get("wrong"), list):
        found["wrong"] = [_unlabelled(one) for one in found["wrong"]]
    return ({"ratings": ratings} if ratings else {}) | found


def _unlabelled(span: Json) -> Json:
    if isinstance(span, Mapping) and span.get("label") == WRONG:
        return {key: value for key, value in span.items() if key != "label"}
    return span
