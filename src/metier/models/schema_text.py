r"""Reading a value while it is written: may the text go on like this, may it end here?

A ``Grammar`` holds a decoder to a schema: a token is taken only if the text with it is still the
beginning of a value that follows the schema (written as ``json.dumps`` writes, keys in schema
order). What was cut short is completed with the plainest value, so that whatever was written, a
valid one comes out.

    grammar = Grammar(read_schema({"type": "array", "items": {"type": "integer", "maximum": 9}}))
    grammar.fits(" [1, 2")     True
    grammar.fits(" [1, 22")    False
    grammar.value(" [1, 2")    [1, 2]
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from metier.core.types import Json, digest
from metier.models.schema import (
    Closed,
    Either,
    Free,
    Items,
    Node,
    Number,
    Record,
    Text,
    accepts,
    least,
    same,
)

AFTER = frozenset(",}] \n\r\t")
"""What may follow a value; it is cut off."""
HALF = "�"
"""Stands at the end while a character of several bytes is being written."""
MOST_DIGITS = 15
"""Digits of a number before and after the point, unless its bounds have more."""
_NUMBER = re.compile(r"-?[0-9]*\.?[0-9]*")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_ESCAPE = re.compile(r"\\(?:[\"\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})")
_HALF_ESCAPE = re.compile(r"\\(?:u(?:[0-9a-fA-F]{0,3}))?")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SCALAR = Either((Text(), Number(), Closed((True, False, None))))


@dataclass(frozen=True, slots=True)
class Read:
    """How far a text goes as a value: ``end`` is where it is done.

    ``open``: the text is a beginning, and ``value`` what it is when it must end here.
    """

    state: Literal["done", "open", "bad"]
    end: int = 0
    value: Json = None


BAD = Read("bad")


@dataclass(frozen=True)
class Grammar:
    """What may be written where one value is wanted; a blank may stand before it."""

    node: Node

    @property
    def key(self) -> str:
        """A hash that stands for this grammar."""
        return digest(repr(self.node))

    def fits(self, text: str) -> bool:
        """Whether the text can still become a value (or is one, with what follows it)."""
        found = self._read(text)
        after = text[found.end : found.end + 1]
        return found.state == "open" or (found.state == "done" and (not after or after in AFTER))

    def whole(self, text: str) -> bool:
        """Whether the reply may end here."""
        return self._read(text).state == "done"

    def end(self, text: str) -> int | None:
        """Return how many characters to keep once the value cannot go on; None before that."""
        found = self._read(text)
        if found.state != "done":
            return None
        goes_on = found.end == len(text) and text[-1:].isdigit()
        return None if goes_on else found.end

    def value(self, text: str) -> Json:
        """Return the value that was written, completed where it was cut; it always fits."""
        found = self._read(text.rstrip(HALF))
        value = found.value
        return value if found.state != "bad" and accepts(self.node, value) else least(self.node)

    def _read(self, text: str) -> Read:
        start = 1 if text.startswith(" ") else 0
        if start == len(text):
            return Read("open", start, least(self.node))
        return read(self.node, text, start)


def read(node: Node, text: str, at: int) -> Read:
    """Read one value that begins at a place of the text."""
    if isinstance(node, Closed):
        return _read_closed(node, text, at)
    if isinstance(node, Text):
        return _read_text(node, text, at)
    if isinstance(node, Number):
        return _read_number(node, text, at)
    if isinstance(node, Items):
        return _read_items(node, text, at)
    if isinstance(node, Record):
        return _read_record(node, text, at)
    if isinstance(node, Free):
        plain = Items(_SCALAR) if node.kind == "array" else Record(())
        return read(plain, text, at)
    found = [read(way, text, at) for way in node.ways]
    done = [one for one in found if one.state == "done"]
    if done:
        return max(done, key=lambda one: one.end)
    return next((one for one in found if one.state == "open"), BAD)


def written(value: Json) -> str:
    """Return a value as the grammar wants it written."""
    return json.dumps(value, ensure_ascii=False)


def _read_closed(node: Closed, text: str, at: int) -> Read:
    rest = text[at:]
    whole = [(written(value), value) for value in node.values]
    matches = [(form, value) for form, value in whole if rest.startswith(form)]
    if matches:
        form, value = max(matches, key=lambda one: len(one[0]))
        return Read("done", at + len(form), value)
    begun = rest.rstrip(HALF)
    for form, value in whole:
        # Half a character matches any that takes more than one byte.
        half = begun == rest or not form[len(begun) : len(begun) + 1].isascii()
        if form.startswith(begun) and half:
            return Read("open", len(text), value)
    return BAD


def _read_text(node: Text, text: str, at: int) -> Read:
    if at == len(text):
        return Read("open", at, least(node))
    if text[at] != '"':
        return BAD
    place, count = at + 1, 0
    while place < len(text):
        if text[place] == '"':
            inner = text[at : place + 1]
            return Read("done", place + 1, json.loads(inner)) if count >= node.least else BAD
        if text[place] < " " or (node.most is not None and count >= node.most):
            return BAD
        if text[place] == "\\":
            found = _ESCAPE.match(text, place)
            if not found:
                half = _HALF_ESCAPE.fullmatch(text, place) and not _SURROGATE.match(text, place)
                return _cut_text(node, text[at:place]) if half else BAD
            place = found.end()
        else:
            place += 1
        count += 1
    return _cut_text(node, text[at:])


def _cut_text(node: Text, begun: str) -> Read:
    value: str = json.loads(begun.rstrip(HALF) + '"')
    return Read("open", 0, value + "-" * (node.least - len(value)))


def _read_number(node: Number, text: str, at: int) -> Read:
    found = _NUMBER.match(text, at)
    form = found[0] if found else ""
    end = at + len(form)
    value = _number(node, form)
    if end < len(text):
        return Read("done", end, value) if value is not None else BAD
    if not _goes_on(node, form):
        return Read("done", end, value) if value is not None else BAD
    return Read("done", end, value) if value is not None else Read("open", end, least(node))


def _number(node: Number, form: str) -> int | float | None:
    """Return a written number, None when it is not whole yet or out of bounds."""
    if not _WHOLE.fullmatch(form) or len(form) > 2 * MOST_DIGITS + 40:
        return None
    value = float(form) if "." in form else int(form)
    if node.whole and "." in form:
        return None
    return value if node.holds(Decimal(form)) and accepts(node, value) else None


def _goes_on(node: Number, form: str) -> bool:
    """Whether more digits can make a number within the bounds."""
    if form in ("", "-"):
        below = node.low is None or node.low < 0
        return below if form else True
    negative, digits = form.startswith("-"), form.lstrip("-")
    before, point, after = digits.partition(".")
    most_before, most_after = _room(node)
    if (point and node.whole) or len(before) > most_before or len(after) > most_after:
        return False
    if not before or (len(before) > 1 and before[0] == "0"):
        return False
    spans = [(_scaled(before + after, -len(after)), _scaled(before + after, -len(after), 1))]
    if not point:
        more = range(1, most_before - len(before) + 1) if before != "0" else range(0)
        spans += [(_scaled(before, by), _scaled(before, by, 1)) for by in more]
    return any(_meets(node, low, high, negative) for low, high in spans)


def _scaled(digits: str, by: int, plus: int = 0) -> Decimal:
    return Decimal(int(digits) + plus).scaleb(by)


def _meets(node: Number, low: Decimal, high: Decimal, negative: bool) -> bool:
    """Whether a number from ``low`` up to under ``high`` (or their negatives) is in bounds."""
    if negative:
        flipped = Number(
            node.whole,
            None if node.high is None else -node.high,
            None if node.low is None else -node.low,
            node.high_open,
            node.low_open,
        )
        node = flipped
    under = node.low is not None and high <= node.low
    over = node.high is not None and (low > node.high or (low == node.high and node.high_open))
    if under or over:
        return False
    # The only whole number of a span of one is its low end.
    return not (node.whole and high - low == 1) or node.holds(low)


def _room(node: Number) -> tuple[int, int]:
    """Return the most digits before and after the point."""
    before, after = MOST_DIGITS, MOST_DIGITS - 3
    for bound in (node.low, node.high):
        if bound is not None:
            before = max(before, bound.adjusted() + 1)
            exponent = bound.as_tuple().exponent
            after = max(after, 2 - exponent if isinstance(exponent, int) else 0)
    return before, after


def _read_items(node: Items, text: str, at: int) -> Read:
    if text[at : at + 1] not in ("", "["):
        return BAD
    items: list[Json] = []
    place = at + 1
    while True:
        left = _left(node, items)
        may_end = len(items) >= node.least
        if may_end and text[place : place + 1] == "]":
            return Read("done", place + 1, items)
        if place >= len(text):
            return Read("open", place, _padded(node, items))
        comma = ", " if items else ""
        if left is None:
            return BAD
        begun = text[place : place + 2]
        if comma and begun != comma:
            return Read("open", place, _padded(node, items)) if begun == "," else BAD
        found = read(left, text, place + len(comma))
        if found.state == "bad":
            return BAD
        if found.state == "open":
            wanted = place + len(comma) < len(text)
            return Read("open", place, _padded(node, [*items, found.value] if wanted else items))
        items.append(found.value)
        place = found.end


def _left(node: Items, items: list[Json]) -> Node | None:
    """Return what the next item may be; None when there may be none."""
    if node.most is not None and len(items) >= node.most:
        return None
    if not node.distinct or not isinstance(node.item, Closed):
        return node.item
    free = tuple(v for v in node.item.values if not any(same(v, one) for one in items))
    return replace(node.item, values=free) if free else None


def _padded(node: Items, items: list[Json]) -> list[Json]:
    """Return the items with the fewest that must still follow."""
    found = list(items)
    while len(found) < node.least and (left := _left(node, found)) is not None:
        found.append(least(left))
    return found


def _read_record(node: Record, text: str, at: int) -> Read:
    value: dict[str, Json] = {}
    place = at
    for number, (name, kind) in enumerate(node.fields):
        frame = ("{" if number == 0 else ", ") + f"{written(name)}: "
        rest = text[place : place + len(frame)]
        if rest != frame:
            return _cut_record(node, value) if frame.startswith(rest) else BAD
        found = read(kind, text, place + len(frame))
        if found.state == "bad":
            return BAD
        value[name] = found.value
        if found.state == "open":
            return _cut_record(node, value)
        place = found.end
    frame = "}" if node.fields else "{}"
    rest = text[place : place + len(frame)]
    if rest == frame:
        return Read("done", place + len(frame), value)
    return _cut_record(node, value) if frame.startswith(rest) else BAD


def _cut_record(node: Record, begun: dict[str, Json]) -> Read:
    return Read("open", 0, {name: least(kind) for name, kind in node.fields} | begun)
