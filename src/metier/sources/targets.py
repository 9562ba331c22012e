"""A row's target in the shape that the objective's task wants."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from metier.core.objective import Objective, TaskKind
from metier.core.types import (
    CompletionTarget,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    Span,
    SpansTarget,
)
from metier.sources.documents import parse_json
from metier.sources.types import RowError
from metier.sources.values import as_list, as_text

TRUE, FALSE = {"true", "yes", "y", "1"}, {"false", "no", "n", "0"}


def make_target(cell: Json, objective: Objective, prompt: str) -> ExampleTarget:
    """Return the target that ``cell`` means for the task; ``prompt`` is the text spans lie in.

    Raises RowError: ``no_target`` for an empty cell, ``bad_target`` for one that does not fit.
    """
    return _TASKS[objective.task](cell, objective, prompt)


def _completion(cell: Json, objective: Objective, prompt: str) -> ExampleTarget:
    text = as_text(cell)
    if not text.strip():
        raise RowError("no_target", "the target is empty")
    return CompletionTarget(text)


def _label(cell: Json, objective: Objective, prompt: str) -> ExampleTarget:
    items = as_list(cell)
    if items is not None and len(items) != 1:
        raise RowError("bad_target", f"{len(items)} labels where one is wanted")
    label = as_text(items[0] if items else cell).strip()
    if not label:
        raise RowError("no_target", "the label is empty")
    return LabelTarget(label)


def _labels(cell: Json, objective: Objective, prompt: str) -> ExampleTarget:
    known = objective.labels if isinstance(objective.labels, list) else []
    items = as_list(cell)
    if items is None:
        items = list(separate(as_text(cell), known))
    return LabelsTarget(tuple(sorted({as_text(item).strip() for item in items} - {""})))


def separate(text: str, known: list[str] | None = None) -> list[str]:
    """Split "a; b" at the first of ; | newline , that occurs; a known label is never split."""
    if text.strip() in (known or []):
        return [text.strip()]
    for separator in (";", "|", "\n", ","):
        if separator in text:
            return [part.strip() for part in text.split(separator) if part.strip()]
    return [text.strip()] if text.strip() else []


def _spans(cell: Json, objective: Objective, prompt: str) -> ExampleTarget:
    if isinstance(cell, Mapping):
        found = [span for label, value in cell.items() for span in _located(label, value, prompt)]
    else:
        items = as_list(cell)
        if items is None and as_text(cell).strip():
            raise RowError("bad_target", f"expected a list of spans, got {as_text(cell)!r:.60}")
        found = [_span(item, prompt) for item in items or []]
    return SpansTarget(tuple(sorted(set(found), key=lambda span: (span.start, span.end))))


def _located(label: str, value: Json, prompt: str) -> list[Span]:
    """Find each text of a cell in the prompt, first occurrence."""
    items = as_list(value)
    texts = [as_text(item) for item in items] if items is not None else [as_text(value)]
    return [_find(text.strip(), label, prompt) for text in texts if text.strip()]


def _find(text: str, label: str, prompt: str) -> Span:
    start = prompt.find(text)
    if start < 0:
        raise RowError("bad_target", f"{label}: {text!r:.80} does not occur in the prompt")
    return Span(start, start + len(text), label)


def _span(item: Json, prompt: str) -> Span:
    if isinstance(item, list) and len(item) == 3:
        item = {"start": item[0], "end": item[1], "label": item[2]}
    if not isinstance(item, Mapping):
        raise RowError("bad_target", f"a span is {item!r:.60}; expected start, end and label")
    label = as_text(_first(item, "label", "entity_type", "type", "labels")).strip()
    start, end = (
        _first(item, name, f"{name}_offset", f"{name}_position", f"{name}_char")
        for name in ("start", "end")
    )
    if not label:
        raise RowError("bad_target", f"a span without a label: {item!r:.80}")
    if start is None:
        return _find(as_text(_first(item, "text", "entity_value", "value")), label, prompt)
    if not (type(start) is type(end) is int and 0 <= start < end <= len(prompt)):
        raise RowError(
            "bad_target", f"span {start!r}-{end!r} in a text of {len(prompt)} characters"
        )
    return Span(start, end, label)


def _first(item: Mapping[str, Json], *names: str) -> Json:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _fields(cell: Json, objective: Objective, prompt: str) -> ExampleTarget:
    if isinstance(cell, str):
        cell = parse_json(cell) if cell.strip() else None
    if not isinstance(cell, Mapping) or not cell:
        raise RowError("no_target" if not cell else "bad_target", "expected an object of fields")
    schema = objective.fields or {}
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    fields = {}
    for name, spec in properties.items():
        if name in cell and as_text(cell[name]).strip():
            fields[name] = typed(cell[name], spec, name)
        elif name in schema.get("required", properties):
            raise RowError("no_target", f"field {name!r} is empty")
    return FieldsTarget(fields)


def typed(cell: Json, spec: Mapping[str, Any], name: str) -> Json:
    """Return a cell as the type its JSON schema wants. Raises RowError (bad_target)."""
    if "enum" in spec:
        return _choice(cell, spec["enum"], name)
    wanted = spec.get("type", "string")
    converter = _CONVERTERS.get(wanted)
    if converter is None:
        raise RowError("bad_target", f"field {name!r}: type {wanted!r} cannot be read from a cell")
    try:
        return converter(cell)
    except ValueError as error:
        reason = f"field {name!r}: {as_text(cell)!r:.60} is not of type {wanted}"
        raise RowError("bad_target", reason) from error


def _choice(cell: Json, choices: list[str], name: str) -> str:
    """Return the choice a cell means; case and surrounding blanks do not count."""
    text = as_text(cell).strip()
    same = [choice for choice in choices if str(choice).casefold() == text.casefold()]
    if text in choices or len(same) != 1:
        same = [choice for choice in choices if choice == text]
    if not same:
        known = ", ".join(map(str, choices[:10]))
        raise RowError("bad_target", f"field {name!r}: {text!r:.60} is none of {known}")
    return same[0]


def _boolean(cell: Json) -> bool:
    text = as_text(cell).strip().lower()
    if text not in TRUE | FALSE:
        raise ValueError(text)
    return text in TRUE


def _array(cell: Json) -> list[Json]:
    items = as_list(cell)
    return items if items is not None else list(separate(as_text(cell)))


def _number(cell: Json) -> float:
    text = as_text(cell).strip()
    # A thousands separator is dropped only where it cannot be a decimal one: 1,234 or 1,234.5
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _integer(cell: Json) -> int:
    number = _number(cell)
    if number != int(number):
        raise ValueError(cell)
    return int(number)


_CONVERTERS: dict[str, Callable[[Json], Json]] = {
    "string": as_text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
}
_TASKS: dict[TaskKind, Callable[[Json, Objective, str], ExampleTarget]] = {
    "classify": _label,
    "multilabel": _labels,
    "extract": _spans,
    "answer": _completion,
    "summarize": _completion,
    "compose": _completion,
    "chat": _completion,
    "structured": _fields,
}
