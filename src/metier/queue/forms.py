"""Forms: what a person is asked about an item, apart from how it is drawn.

    form = form_of(objective, labels)            from the objective, for labelling
    form = rubric_form(dimensions)               from a rubric, for rating
    value = check_answer(form, posted)           the answer in the form's shape, or InputError

kind         value
label        "card_arrival"
labels       ["a", "b"]                          order does not count
spans        [{"start": 0, "end": 4, "label": "person"}]
text         "…"                                 written, or the reply corrected
number       3.5
json         any value that follows ``schema``
rating       1 … 5 (``low`` … ``high``)
comparison   "a" | "b" | "tie"

The value of a form is an object {field name: value}; a form of one field named "answer" has that
value itself. Fields that are not required may be absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from metier.core.codec import dumps, from_json, to_json
from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.types import Json

FieldKind = Literal["label", "labels", "spans", "text", "number", "json", "rating", "comparison"]
ANSWER = "answer"
LONGEST = 100_000
"""Most characters of one answer, as JSON text."""
SIDES = ("a", "b", "tie")


@dataclass(frozen=True, slots=True)
class FormField:
    """One question. ``options`` of label, labels and spans; ``low`` to ``high`` of rating, whose
    ``anchors`` say what the points mean ("1" -> "wrong throughout"); ``schema`` is the JSON schema
    of a field of an objective's object (a label of yes or no has type boolean there)."""

    name: str
    kind: FieldKind
    title: str
    about: str = ""
    options: tuple[str, ...] = ()
    required: bool = True
    low: int = 1
    high: int = 5
    anchors: dict[str, str] = field(default_factory=dict)
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """The questions that are asked of each item, in order."""

    fields: tuple[FormField, ...]

    @property
    def is_bare(self) -> bool:
        """Whether the answer is the value of the one field, and no object."""
        return [one.name for one in self.fields] == [ANSWER]


def form_of(objective: Objective, labels: Iterable[str] = ()) -> Form:
    """The form that asks for an example's target; ``labels`` is the closed set, if there is one.

    A task of labels whose set is not known yet asks for words. Raises InputError for a task of
    marked stretches without labels.
    """
    known = tuple(labels)
    if objective.task == "structured":
        return Form(tuple(_object_fields(objective)))
    if objective.task == "extract" and not known:
        raise InputError(
            "labels that stretches of text can be marked with",
            got="none: neither [objective] labels nor a data version has any",
            remedy='set labels = ["…", "…"] in [objective]',
        )
    kinds: dict[str, tuple[FieldKind, str]] = {
        "classify": ("label", "Label"),
        "multilabel": ("labels", "Labels"),
        "extract": ("spans", "Marked words"),
    }
    kind, title = kinds.get(objective.task, ("text", "Answer"))
    if not known:
        kind = "text"
    return Form((FormField(ANSWER, kind, title, options=known if kind != "text" else ()),))


def rubric_form(
    dimensions: Iterable[FormField | Mapping[str, Any]], *, beside: bool = False
) -> Form:
    """The form that rates a reply on each dimension: ``{"name": "accuracy", "title": …, "about":
    …, "low": 1, "high": 5, "anchors": {"1": "…"}}`` (only the name is needed).

    ``beside``: two replies are seen, and which is better is asked first, as "preferred".
    """
    better = FormField("preferred", "comparison", "Which is better?")
    return Form((*((better,) if beside else ()), *(_dimension(one) for one in dimensions)))


def form_json(form: Form) -> Json:
    """The form as JSON; ``form_from`` reads it."""
    return to_json(form)


def form_from(data: Json) -> Form:
    """The form that ``form_json`` wrote. Raises InputError where there is none."""
    if data is None:
        raise InputError(
            "a queue with a form",
            got="one without",
            remedy="give make_queue a form, as `metier annotate make` does",
        )
    return from_json(Form, data)


def check_answer(form: Form, value: Json, text: str | None = None) -> Json:
    """The answer in the form's shape. ``text`` is what stretches are marked in, where known.

    Raises InputError that names the field.
    """
    _refuse_long(value)
    if form.is_bare:
        return _checked(form.fields[0], value, text)
    if not isinstance(value, Mapping):
        names = ", ".join(one.name for one in form.fields)
        raise InputError(f"an object with {names}", got=_shown(value))
    known = {one.name: one for one in form.fields}
    for name in value:
        if name not in known:
            raise InputError("fields of the form", got=_shown(name), remedy=nearest(name, known))
    found: dict[str, Json] = {}
    for one in form.fields:
        given = value.get(one.name)
        if given is None and not one.required:
            continue
        found[one.name] = _checked(one, given, text)
    return found


def values_of(form: Form, value: Json) -> dict[str, Json]:
    """An answer as {field name: value}, whatever the form's shape."""
    if form.is_bare:
        return {} if value is None else {ANSWER: value}
    return dict(value) if isinstance(value, Mapping) else {}


def clear_answer(form: Form, value: Json, clear: Callable[[str], str]) -> Json:
    """An answer with ``clear`` applied to what was typed. Closed choices stay."""
    cleared = {
        one.name: _cleared(given, clear) if one.kind in ("text", "json") else given
        for one in form.fields
        if (given := values_of(form, value).get(one.name)) is not None
    }
    return cleared.get(ANSWER) if form.is_bare else cleared


def _cleared(value: Json, clear: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return clear(value)
    if isinstance(value, Mapping):
        return {clear(str(key)): _cleared(item, clear) for key, item in value.items()}
    return [_cleared(item, clear) for item in value] if isinstance(value, list | tuple) else value


def _object_fields(objective: Objective) -> Iterable[FormField]:
    schema = objective.fields or {}
    properties = schema.get("properties", {})
    for name, spec in properties.items():
        kind, options = _kind(spec)
        # A schema that requires nothing by name asks for all; an empty text is a text then.
        required = schema.get("required", () if kind == "text" else properties)
        yield FormField(
            name,
            kind,
            name.replace("_", " ").capitalize(),
            about=str(spec.get("description", "")),
            options=options,
            required=name in required,
            schema=dict(spec),
        )


def _kind(spec: Mapping[str, Any]) -> tuple[FieldKind, tuple[str, ...]]:
    if "enum" in spec:
        return "label", tuple(str(one) for one in spec["enum"])
    names = spec.get("type", "string")
    plain = [one for one in ([names] if isinstance(names, str) else names) if one != "null"]
    if plain == ["boolean"]:
        return "label", ("true", "false")
    if plain == ["string"]:
        return "text", ()
    return ("number" if plain in (["number"], ["integer"]) else "json"), ()


def _dimension(one: FormField | Mapping[str, Any]) -> FormField:
    if isinstance(one, FormField):
        return one
    name = str(one["name"])
    return FormField(
        name,
        "rating",
        str(one.get("title") or name.replace("_", " ").capitalize()),
        about=str(one.get("about") or ""),
        required=bool(one.get("required", True)),
        low=int(one.get("low", 1)),
        high=int(one.get("high", 5)),
        anchors={str(point): str(words) for point, words in dict(one.get("anchors") or {}).items()},
    )


def _checked(one: FormField, value: Json, text: str | None) -> Json:
    checks: dict[FieldKind, Callable[[FormField, Json], Json]] = {
        "label": _label,
        "labels": _labels,
        "text": _text,
        "number": _number,
        "json": _json,
        "rating": _rating,
        "comparison": _side,
    }
    if value is None and one.schema is not None and _takes_null(one.schema):
        return None
    if one.kind == "spans":
        return _spans(one, value, text)
    return checks[one.kind](one, value)


def _takes_null(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    return kinds == "null" or (isinstance(kinds, list) and "null" in kinds)


def _label(one: FormField, value: Json) -> Json:
    if isinstance(value, bool):
        value = str(value).lower()
    found = _option(one, value)
    if (one.schema or {}).get("type") == "boolean":
        return found == "true"
    return next((v for v in (one.schema or {}).get("enum", ()) if str(v) == found), found)


def _option(one: FormField, value: Json) -> str:
    name = str(value) if isinstance(value, str | int | float) else None
    if name in one.options:
        return str(name)
    folded = {_folded(option): option for option in one.options}
    if name is not None and len(folded) == len(one.options) and _folded(name) in folded:
        return folded[_folded(name)]
    raise _wrong(one, "one of its options", value, nearest(str(name or ""), one.options))


def _folded(label: str) -> str:
    return " ".join(label.replace("_", " ").casefold().split())


def _labels(one: FormField, value: Json) -> list[str]:
    if not isinstance(value, list | tuple):
        raise _wrong(one, "a list of its options", value)
    return sorted({_option(one, item) for item in value})


def _spans(one: FormField, value: Json, text: str | None) -> list[Json]:
    if not isinstance(value, list | tuple):
        raise _wrong(one, "a list of marked stretches", value)
    found = {(span["start"], span["end"], span["label"]) for span in _each_span(one, value, text)}
    return [{"start": start, "end": end, "label": label} for start, end, label in sorted(found)]


def _each_span(one: FormField, value: Iterable[Json], text: str | None) -> Iterable[dict[str, Any]]:
    for span in value:
        if not isinstance(span, Mapping) or set(span) != {"start", "end", "label"}:
            raise _wrong(one, 'stretches as {"start", "end", "label"}', span)
        start, end = span["start"], span["end"]
        whole = type(start) is int and type(end) is int and 0 <= start < end
        if not whole or (text is not None and end > len(text)):
            size = "" if text is None else f" of {len(text)}"
            raise _wrong(one, f"start before end, both in the text{size}", [start, end])
        yield {"start": start, "end": end, "label": _option(one, span["label"])}


def _text(one: FormField, value: Json) -> str:
    if not isinstance(value, str) or (one.required and not value.strip()):
        raise _wrong(one, "a text", value if not isinstance(value, str) else "")
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _number(one: FormField, value: Json) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _wrong(one, "a number", value)
    kinds = (one.schema or {}).get("type")
    if "integer" in ([kinds] if isinstance(kinds, str) else kinds or ()):
        if value != int(value):
            raise _wrong(one, "a whole number", value)
        return int(value)
    return value


def _json(one: FormField, value: Json) -> Json:
    from metier.scoring.labels.structured import violations

    broken = violations(value, one.schema or {}, one.name)
    if broken:
        raise InputError(f"{one.title}: a value that follows its schema", got=broken[0][:200])
    return value


def _rating(one: FormField, value: Json) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or not one.low <= value <= one.high:
        raise _wrong(one, f"a whole number from {one.low} to {one.high}", value)
    return int(value)


def _side(one: FormField, value: Json) -> str:
    if value not in SIDES:
        raise _wrong(one, "a, b or tie", value)
    return str(value)


def _refuse_long(value: Json) -> None:
    try:
        size = len(dumps(value))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError("an answer of plain JSON", got=type(error).__name__) from error
    if size > LONGEST:
        raise InputError(f"an answer of at most {LONGEST:,} characters", got=f"{size:,}")


def _wrong(one: FormField, expected: str, got: Json, remedy: str = "") -> InputError:
    return InputError(f"{one.title}: {expected}", got=_shown(got), remedy=remedy)


def _shown(value: Json) -> str:
    """A value that was refused, in short; what was typed at length stays out of errors."""
    text = "nothing" if value in (None, "") else repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} of {len(text)} characters"
