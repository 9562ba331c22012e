"""Structured answers: does the reply follow the schema? Fields are measured as ``field.metric``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.core.types import Json, Score
from metier.scoring.base import GradeScorer, mean_of
from metier.scoring.registry import metrics, scorers
from metier.scoring.types import Metric, Scorer

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (Mapping,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def violations(value: Json, schema: Mapping[str, Any], at: str = "reply") -> list[str]:
    """Return where ``value`` breaks ``schema``, in words; [] when it does not.

    Understands the part of JSON Schema that an objective can hold: type (a name or a list of
    names), enum, properties, required, additionalProperties = false, items. A schema without
    ``required`` asks for every property.
    """
    kinds = schema.get("type")
    if kinds is not None and not any(_is(value, k) for k in _as_list(kinds)):
        return [f"{at} is {_shown(value)}, not {' or '.join(_as_list(kinds))}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at} is {_shown(value)}, not one of the allowed values")
    if isinstance(value, Mapping):
        found += _object_violations(value, schema, at)
    if isinstance(value, list | tuple) and "items" in schema:
        for number, item in enumerate(value):
            found += violations(item, schema["items"], f"{at}[{number}]")
    return found


def _object_violations(value: Mapping[str, Json], schema: Mapping[str, Any], at: str) -> list[str]:
    properties = schema.get("properties", {})
    required = schema.get("required", list(properties))
    found = [f"{at}.{name} is missing" for name in required if name not in value]
    if schema.get("additionalProperties") is False:
        found += [f"{at}.{name} is not in the schema" for name in value if name not in properties]
    for name, spec in properties.items():
        if name in value:
            found += violations(value[name], spec, f"{at}.{name}")
    return found


def _as_list(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _is(value: Json, kind: str) -> bool:
    if isinstance(value, bool) and kind in ("integer", "number"):
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


@scorers.register("schema_valid")
def schema_scorer(schema: Mapping[str, Any] | None = None) -> Scorer:
    """1 when the reply follows the schema, else 0."""
    return GradeScorer("schema_valid", lambda record: _valid(record, schema or {}))


@metrics.register("schema_valid")
def schema_valid(schema: Mapping[str, Any] | None = None) -> Metric:
    """Share of replies that follow the schema; without one, that are a JSON object."""
    return mean_of("schema_valid", lambda record: _valid(record, schema or {}))


def _valid(record: Score, schema: Mapping[str, Any]) -> float:
    return float(not violations(record.got, {"type": "object", **schema}))
