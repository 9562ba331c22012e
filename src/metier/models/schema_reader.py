"""JSON schemas that a reply can be made to follow, read into nodes.

``refusals`` says in words what of a schema cannot be followed; a schema without refusals can, and
every reply follows it. What is understood: type (one or several), enum, const, properties, items,
anyOf, local $ref, minLength, maxLength, minItems, maxItems, uniqueItems of closed items, and the
four bounds of numbers. Notes for readers (title, default, format …) pass, as in a validator.

    read_schema({"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2})
    -> Items(Closed(("a", "b")), 0, 2)
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from metier.core.errors import nearest
from metier.models.schema import (
    TYPES,
    Closed,
    Free,
    Items,
    Node,
    Number,
    Record,
    Text,
    either,
    exact,
    is_type,
    kinds_of,
)

_OF_TYPE = {
    "string": ("minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties",),
}


@cache
def _keywords() -> Mapping[str, Any]:
    path = Path(__file__).parent / "schema_keywords.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def read_schema(schema: Mapping[str, Any]) -> Node:
    """Return the schema as nodes; what cannot be followed is left out (``refusals`` tells)."""
    return _Reader(schema).node(schema, "", ())


def refusals(schema: Mapping[str, Any]) -> list[str]:
    """Return what of a schema cannot be followed, one sentence each with its place; [] is all."""
    reader = _Reader(schema)
    reader.node(schema, "", ())
    return list(dict.fromkeys(reader.problems))


class _Reader:
    """Walks a schema once; ``problems`` are sentences with their place."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root, self.problems = root, list[str]()

    def node(self, spec: Any, at: str, refs: tuple[str, ...]) -> Node:
        if spec is True:
            return Text()
        if not isinstance(spec, Mapping):
            self._problem(at, f"a schema is an object, not {spec!r}", "write {type = …}")
            return Text()
        if "$ref" in spec:
            return self._referred(spec, at, refs)
        self._check_names(spec, at)
        if "const" in spec:
            return Closed((spec["const"],))
        if "enum" in spec:
            return self._closed(spec, at)
        for name in ("anyOf", "oneOf", "allOf"):
            if name in spec:
                return self._ways(name, spec, at, refs)
        return self._typed(spec, at, refs)

    def _problem(self, at: str, what: str, remedy: str) -> None:
        self.problems.append(f"{at.lstrip('.') or 'the schema'}: {what} ({remedy})")

    def _check_names(self, spec: Mapping[str, Any], at: str) -> None:
        words = _keywords()
        known = [*words["understood"], *words["notes"]]
        for name in spec:
            if name in words["refused"]:
                self._problem(at, f"{name} cannot be followed", words["refused"][name])
            elif name not in known and not name.startswith("x-"):
                self._problem(at, f"{name} is no keyword that is known", nearest(name, known))

    def _referred(self, spec: Mapping[str, Any], at: str, refs: tuple[str, ...]) -> Node:
        ref = str(spec["$ref"])
        target: Any = self.root if ref.startswith("#/") else None
        for step in ref.removeprefix("#/").split("/"):
            target = target.get(step) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            self._problem(at, f"$ref {ref!r} points to nothing here", "use #/$defs/NAME")
            return Text()
        if ref in refs:
            self._problem(at, f"{ref} refers to itself", "write out as many levels as are needed")
            return Text()
        own = {name: value for name, value in spec.items() if name != "$ref"}
        return self.node({**target, **own}, at, (*refs, ref))

    def _closed(self, spec: Mapping[str, Any], at: str) -> Node:
        values = spec["enum"]
        if not isinstance(values, list | tuple) or not values:
            self._problem(at, "enum is empty or no list", "list at least one value")
            return Text()
        types = _types(spec)
        wrong = [value for value in values if types and not any(is_type(value, t) for t in types)]
        if wrong:
            shown = json.dumps(wrong[0], ensure_ascii=False)
            self._problem(at, f"enum holds {shown}, which type forbids", "correct one of them")
        return Closed(tuple(values))

    def _ways(self, name: str, spec: Mapping[str, Any], at: str, refs: tuple[str, ...]) -> Node:
        ways = spec[name]
        beside = sorted(set(spec) - set(_keywords()["notes"]) - {name})
        if not isinstance(ways, list | tuple) or not ways:
            self._problem(at, f"{name} is empty or no list", "list at least one schema")
            return Text()
        if beside:
            self._problem(at, f"{', '.join(beside)} beside {name}", f"put it into each {name}")
        if name == "allOf" and len(ways) > 1:
            self._problem(at, "allOf of several schemas", "merge them into one")
        found = [self.node(way, at, refs) for way in ways]
        if name == "oneOf" and _overlap(found):
            self._problem(at, "oneOf of schemas that share a type", "use anyOf")
        return either(found)

    def _typed(self, spec: Mapping[str, Any], at: str, refs: tuple[str, ...]) -> Node:
        types = _types(spec) or _implied(spec)
        unknown = [one for one in types if one not in TYPES]
        if unknown:
            self._problem(at, f"type {unknown[0]!r}", nearest(unknown[0], list(TYPES)))
        return either([self._of_type(one, spec, at, refs) for one in types if one in TYPES])

    def _of_type(self, kind: str, spec: Mapping[str, Any], at: str, refs: tuple[str, ...]) -> Node:
        if kind == "boolean":
            return Closed((True, False))
        if kind == "null":
            return Closed((None,))
        if kind == "string":
            return Text(*self._counts(spec, at, "minLength", "maxLength"))
        if kind in ("number", "integer"):
            return self._number(kind == "integer", spec, at)
        return self._items(spec, at, refs) if kind == "array" else self._record(spec, at, refs)

    def _counts(
        self, spec: Mapping[str, Any], at: str, low: str, high: str
    ) -> tuple[int, int | None]:
        fewest, most = spec.get(low, 0), spec.get(high)
        good = all(isinstance(one, int) and one >= 0 for one in (fewest, most or 0))
        if not good or (most is not None and most < fewest):
            self._problem(at, f"{low} = {fewest}, {high} = {most}", "give whole numbers in order")
            return 0, None
        return fewest, most

    def _number(self, whole: bool, spec: Mapping[str, Any], at: str) -> Node:
        bounds = {name: spec.get(name) for name in _OF_TYPE["number"]}
        for name, value in bounds.items():
            if value is not None and not is_type(value, "number"):
                self._problem(at, f"{name} = {value!r}", "give a number")
                bounds[name] = None
        low, low_open = _tightest(bounds["minimum"], bounds["exclusiveMinimum"], max)
        high, high_open = _tightest(bounds["maximum"], bounds["exclusiveMaximum"], min)
        node = Number(whole, low, high, low_open, high_open)
        if _empty(node):
            self._problem(at, "no number lies within the bounds", "widen them")
            return Number(whole)
        return node

    def _items(self, spec: Mapping[str, Any], at: str, refs: tuple[str, ...]) -> Node:
        fewest, most = self._counts(spec, at, "minItems", "maxItems")
        if "items" not in spec or spec["items"] is True:
            if any(name in spec for name in ("minItems", "maxItems", "uniqueItems")):
                self._problem(at, "a counted array without items", "say what its items are")
            return Free("array")
        item = self.node(spec["items"], f"{at}[]", refs)
        distinct = bool(spec.get("uniqueItems"))
        if distinct and not isinstance(item, Closed):
            self._problem(at, "uniqueItems of items that are no enum", "leave it out")
            distinct = False
        if distinct and isinstance(item, Closed) and fewest > len(item.values):
            self._problem(at, f"minItems = {fewest} different ones", "lower minItems")
            fewest = 0
        return Items(item, fewest, most, distinct)

    def _record(self, spec: Mapping[str, Any], at: str, refs: tuple[str, ...]) -> Node:
        properties = spec.get("properties", {})
        if isinstance(spec.get("additionalProperties"), Mapping):
            self._problem(at, "additionalProperties as a schema", "name the properties")
        missing = [name for name in spec.get("required", ()) if name not in properties]
        if missing:
            self._problem(at, f"required {missing[0]!r} is no property", "add it to properties")
        if not properties:
            if "[]" in at or refs:
                self._problem(at, "an object without properties", "name its properties")
            return Free("object")
        kinds = [(name, self.node(one, f"{at}.{name}", refs)) for name, one in properties.items()]
        return Record(tuple(kinds))


def _types(spec: Mapping[str, Any]) -> list[str]:
    found = spec.get("type", [])
    return [found] if isinstance(found, str) else list(found)


def _implied(spec: Mapping[str, Any]) -> list[str]:
    """The type that a schema without one means, by its other keywords."""
    for kind, names in _OF_TYPE.items():
        if any(name in spec for name in names):
            return [kind]
    return ["string"]


def _overlap(ways: Sequence[Node]) -> bool:
    seen: set[str] = set()
    for way in ways:
        kinds = kinds_of(way)
        if kinds & seen:
            return True
        seen |= kinds
    return False


def _tightest(closed: Any, opened: Any, pick: Any) -> tuple[Decimal | None, bool]:
    """Return the bound that counts, and whether it is open."""
    if opened is None:
        return (None if closed is None else exact(closed)), False
    if closed is None or pick(closed, opened) == opened:
        return exact(opened), True
    return exact(closed), False


def _empty(node: Number) -> bool:
    if node.low is None or node.high is None:
        return False
    if node.whole:
        lowest = math.floor(node.low) + 1 if node.low_open else math.ceil(node.low)
        return not node.holds(lowest)
    return node.low > node.high or (node.low == node.high and (node.low_open or node.high_open))
