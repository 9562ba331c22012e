"""What a value may be, as a tree of small nodes, and which values it takes.

    Items(Closed(("a", "b")), 0, 2)      a list of at most two, each "a" or "b"

``schema_reader`` makes the nodes of a JSON schema; ``schema_text`` reads a reply against them while
it is being written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from metier.core.types import Json

TYPES = ("string", "number", "integer", "boolean", "null", "array", "object")


@dataclass(frozen=True)
class Closed:
    """One of these values."""

    values: tuple[Json, ...]


@dataclass(frozen=True)
class Text:
    """A string of ``least`` to ``most`` characters (None: any number)."""

    least: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high`` (None: no bound), ends included unless they are open."""

    whole: bool = False
    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False

    def holds(self, value: float | Decimal) -> bool:
        """Whether a number lies within the bounds."""
        if self.whole and value != int(value):
            return False
        low, high = self.low, self.high
        over = low is None or (value > low if self.low_open else value >= low)
        return over and (high is None or (value < high if self.high_open else value <= high))


@dataclass(frozen=True)
class Items:
    """A list of ``least`` to ``most`` items; ``distinct``: no closed value twice."""

    item: Node
    least: int = 0
    most: int | None = None
    distinct: bool = False


@dataclass(frozen=True)
class Record:
    """An object with exactly these properties, in this order."""

    fields: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Either:
    """Whatever one of the alternatives allows."""

    ways: tuple[Node, ...]


@dataclass(frozen=True)
class Free:
    """Any array or object: its schema says no more."""

    kind: str


Node = Closed | Text | Number | Items | Record | Either | Free


def accepts(node: Node, value: Json) -> bool:
    """Whether a value follows the schema."""
    if isinstance(node, Closed):
        return any(same(value, one) for one in node.values)
    if isinstance(node, Text):
        fits = isinstance(value, str) and len(value) >= node.least
        return fits and (node.most is None or len(value) <= node.most)
    if isinstance(node, Number):
        real = isinstance(value, int | float) and not isinstance(value, bool)
        return real and math.isfinite(value) and node.holds(exact(value))
    if isinstance(node, Either):
        return any(accepts(way, value) for way in node.ways)
    if isinstance(node, Record):
        if not isinstance(value, dict):
            return False
        return all(name in value and accepts(kind, value[name]) for name, kind in node.fields)
    if isinstance(node, Free):
        return isinstance(value, list if node.kind == "array" else dict)
    return isinstance(value, list) and _accepts_items(node, value)


def least(node: Node) -> Json:
    """Return the plainest value that follows the schema: null, zero, nothing where it may be."""
    if isinstance(node, Closed):
        return None if None in node.values else node.values[0]
    if isinstance(node, Text):
        return "-" * node.least
    if isinstance(node, Number):
        return least_number(node)
    if isinstance(node, Either):
        found = [least(way) for way in node.ways]
        return None if None in found else found[0]
    if isinstance(node, Record):
        return {name: least(kind) for name, kind in node.fields}
    if isinstance(node, Free):
        return [] if node.kind == "array" else {}
    if node.distinct and isinstance(node.item, Closed):
        return list(node.item.values[: node.least])
    return [least(node.item) for _ in range(node.least)]


def least_number(node: Number) -> int | float:
    """Return the number nearest to zero within the bounds."""
    low, high = node.low, node.high
    if node.holds(0):
        return 0
    at, outward = (low, 1) if low is not None and low >= 0 else (high, -1)
    assert at is not None  # zero is outside, so one end is on this side of it
    if node.whole:
        whole = math.ceil(at) if outward > 0 else math.floor(at)
        return whole if node.holds(whole) else whole + outward
    if node.holds(at):
        return float(at)
    other = high if outward > 0 else low
    middle = (at + other) / 2 if other is not None else at + outward
    return float(middle)


def same(a: Json, b: Json) -> bool:
    """JSON equality: 1 equals 1.0, and true is no number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def exact(value: float | int) -> Decimal:
    """Return the number as it is written, not as its binary fraction."""
    return Decimal(repr(value))


def _accepts_items(node: Items, value: Sequence[Json]) -> bool:
    enough = node.least <= len(value) and (node.most is None or len(value) <= node.most)
    if not enough or not all(accepts(node.item, one) for one in value):
        return False
    texts = [json.dumps(one, sort_keys=True) for one in value]
    return not node.distinct or len(set(texts)) == len(texts)


def either(ways: Sequence[Node]) -> Node:
    """Return one node for several: closed sets become one, nested alternatives are flattened."""
    flat = [one for way in ways for one in (way.ways if isinstance(way, Either) else (way,))]
    if not flat:
        return Text()
    closed = [way for way in flat if isinstance(way, Closed)]
    if len(closed) > 1:
        values: list[Json] = []
        for value in (value for way in closed for value in way.values):
            if not any(same(value, known) for known in values):
                values.append(value)
        place = flat.index(closed[0])
        flat = [way for way in flat if not isinstance(way, Closed)]
        flat.insert(place, Closed(tuple(values)))
    return flat[0] if len(flat) == 1 else Either(tuple(flat))


def kinds_of(node: Node) -> set[str]:
    """Return the JSON types of the values a node takes."""
    if isinstance(node, Closed):
        return {kind for kind in TYPES for value in node.values if is_type(value, kind)}
    if isinstance(node, Either):
        return set().union(*(kinds_of(way) for way in node.ways))
    if isinstance(node, Number):
        return {"number", "integer"}
    if isinstance(node, Text):
        return {"string"}
    return {"array" if isinstance(node, Items) or node == Free("array") else "object"}


def is_type(value: Json, kind: str) -> bool:
    """Whether a value is of a JSON type."""
    known: dict[str, type | tuple[type, ...]] = {
        "string": str, "number": (int, float), "boolean": bool, "null": type(None),
        "array": list, "object": dict,
    }  # fmt: skip
    if kind == "integer":
        whole = isinstance(value, float) and value.is_integer()
        return whole or (isinstance(value, int) and not isinstance(value, bool))
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, known.get(kind, ()))
