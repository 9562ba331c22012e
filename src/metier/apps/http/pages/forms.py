"""Forms for right answers, derived from the objective: what to draw, and what was filled in.

task         drawn as                                              given as
classify     radio buttons, a select when there are many           "card_arrival"
multilabel   check boxes                                           ["a", "b"]
structured   per field: radio buttons or select (enum, boolean),   {"route": "billing", …}
             a number box, a text box
others       a text box that begins with the reply                 the text
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import FormData

from metier.apps.http.pages.frame import Row
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Json
from metier.models.prompt import parse_reply, spoken

MOST_BUTTONS = 12
KEYS = 9
ANSWER = "answer"
YES_NO = ("true", "false")


def form_fields(
    objective: Objective, labels: Sequence[str], value: Json, reply: str = ""
) -> list[Row]:
    """Return the fields to draw, filled with ``value`` (None: nothing is known to be right).

    Texts begin with what was served, as most of it is often right; closed choices do not, so that
    each is somebody's own.
    """
    if objective.task == "structured":
        served = parse_reply(reply, objective, labels)
        return _object_fields(objective, value, served if isinstance(served, dict) else {})
    if objective.task == "classify" and labels:
        return [_choices(ANSWER, "Right label", labels, value, required=True)]
    if objective.task == "multilabel" and labels:
        chosen = value if isinstance(value, list) else []
        return [_options(ANSWER, "Right labels", "many", labels, chosen)]
    text = value if isinstance(value, str) else "" if objective.task == "classify" else reply
    return [_box(ANSWER, "Right answer", "text", text, required=True)]


def read_form(objective: Objective, form: FormData) -> Json:
    """Return what was filled in, in the task's shape; whether it fits is checked when stored.

    Raises InputError for a number or JSON that cannot be read.
    """
    if objective.task == "structured":
        return _read_object(objective, form)
    if objective.task == "multilabel":
        return [str(one) for one in form.getlist(ANSWER) if one]
    return str(form.get(ANSWER, ""))


def _object_fields(objective: Objective, value: Json, served: Mapping[str, Json]) -> list[Row]:
    known = value if isinstance(value, Mapping) else None
    required = (objective.fields or {}).get("required", [])
    rows = []
    for name, spec in _properties(objective).items():
        title, must = name.replace("_", " "), name in required
        given = known.get(name) if known is not None else None
        if "enum" in spec:
            rows.append(_choices(name, title, [str(o) for o in spec["enum"]], given, must))
        elif _kind(spec) == "boolean":
            yes = None if given is None else YES_NO[0] if given else YES_NO[1]
            rows.append(_choices(name, title, YES_NO, yes, must))
        else:
            text = _written(given if known is not None else served.get(name))
            kind = "number" if _kind(spec) in ("integer", "number") else "text"
            rows.append(_box(name, title, kind, text, must) | {"step": _kind(spec) == "number"})
        rows[-1]["about"] = spec.get("description", "")
    return rows


def _read_object(objective: Objective, form: FormData) -> dict[str, Json]:
    answer: dict[str, Json] = {}
    for name, spec in _properties(objective).items():
        text = str(form.get(name, ""))
        if text.strip() or (_kind(spec) == "string" and "enum" not in spec and name in form):
            answer[name] = _read(name, spec, text)
    return answer


def _read(name: str, spec: Mapping[str, Any], text: str) -> Json:
    if "enum" in spec:
        return next((one for one in spec["enum"] if str(one) == text), text)
    kind = _kind(spec)
    if kind == "string":
        return text
    if kind == "boolean":
        return text == YES_NO[0]
    try:
        return int(text) if kind == "integer" else json.loads(text)
    except ValueError:
        raise InputError(f"{name} as {kind}", got=repr(text[:40])) from None


def _choices(name: str, title: str, values: Sequence[str], given: Json, required: bool) -> Row:
    kind = "choice" if len(values) <= MOST_BUTTONS else "select"
    return _options(name, title, kind, values, [given]) | {"required": required}


def _options(name: str, title: str, kind: str, values: Sequence[str], given: Sequence[Json]) -> Row:
    names = dict(zip(YES_NO, ("yes", "no"), strict=True)) if tuple(values) == YES_NO else {}
    options = [
        {
            "value": one,
            "text": names.get(one, spoken(one)),
            "key": str(place) if place <= KEYS else "",
            "chosen": one in given,
        }
        for place, one in enumerate(values, start=1)
    ]
    return {
        "name": name,
        "title": title,
        "kind": kind,
        "options": options,
        "required": False,
        "about": "",
    }


def _box(name: str, title: str, kind: str, text: str, required: bool) -> Row:
    return {
        "name": name,
        "title": title,
        "kind": kind,
        "text": text,
        "required": required,
        "about": "",
        "step": False,
    }


def _properties(objective: Objective) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = (objective.fields or {}).get("properties", {})
    return found


def _kind(spec: Mapping[str, Any]) -> str:
    kind = spec.get("type", "string")
    named = [one for one in kind if one != "null"] if isinstance(kind, list) else [kind]
    return str(named[0]) if named else "string"


def _written(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
