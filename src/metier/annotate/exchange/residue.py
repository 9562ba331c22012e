"""Residue: what of a tool's record metier has no word for, kept to be given back.

    {"extra": {key: value},                         keys that metier does not know
     "raw": {key: {"was": digest, "is": value}}}    known keys, spelled otherwise than metier does

A spelling is given back while what it stood for is unchanged: ``was`` is the digest of metier's own
spelling at the time. No "is": the record had no such key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metier.core.codec import dumps
from metier.core.types import Json, digest

DEEPEST = 64
"""Levels of lists and objects that are read."""


def is_deep(value: Json) -> bool:
    """Whether a record is nested deeper than what reads and writes it can follow."""
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > DEEPEST:
            return True
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        left += [(part, depth + 1) for part in inner]
    return False


def loaded(text: str) -> Json:
    """The value that a text spells in JSON; the text itself where it spells none, or one nested
    too deep."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if is_deep(found) else found


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values are written the same, whatever the order of keys; 1, 1.0 and true
    are not."""
    return mark(one) == mark(other)


def mark(value: Json) -> str:
    """A digest that tells JSON values apart."""
    return digest(value)


def residue(original: Mapping[str, Any], own: Mapping[str, Any]) -> Json:
    """What ``restore`` needs to make ``original`` of metier's ``own`` spelling; None: nothing."""
    extra = {key: value for key, value in original.items() if key not in own}
    raw: dict[str, Json] = {}
    for key, value in own.items():
        if key not in original:
            raw[key] = {"was": mark(value)}
        elif not same(original[key], value):
            raw[key] = {"was": mark(value), "is": original[key]}
    found = {"extra": extra, "raw": raw}
    return {name: part for name, part in found.items() if part} or None


def restore(own: Mapping[str, Any], kept: Json) -> dict[str, Any]:
    """Metier's spelling of a record with what was kept of the original."""
    found = dict(own)
    if not isinstance(kept, Mapping):
        return found
    for key, one in kept.get("raw", {}).items():
        if key not in found or mark(found[key]) != one["was"]:
            continue
        if "is" in one:
            found[key] = one["is"]
        else:
            del found[key]
    return found | {key: value for key, value in kept.get("extra", {}).items() if key not in own}


def plain(value: Json) -> Json:
    """A copy of a value as JSON has it (tuples become lists)."""
    import json

    return json.loads(dumps(value))
