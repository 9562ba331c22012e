"""Change values in a TOML text and leave everything else, comments too, as it was.

    with_values("lr = 1e-3  # first try", {("lr",): 2e-3})   # lr = 0.002  # first try

The text is edited, then parsed again: where anything but the wanted values would have changed, it
is refused and left alone.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from metier.core.errors import ConfigError
from metier.core.toml_lines import key_lines
from metier.core.types import Json

Path = tuple[str, ...]


def with_values(text: str, values: Mapping[Path, Json]) -> str:
    """Return the text with these values set, keys that are missing added to their table.

    Raises ConfigError where the text is laid out so that this cannot be done safely.
    """
    for path, value in values.items():
        changed = _set(text, path, value)
        if _parsed(changed) != _wanted(text, path, value):
            raise ConfigError(
                f"a place for {'.'.join(path)} that can be edited",
                got="a table laid out in a way that is not understood",
                remedy=f"set {'.'.join(path)} = {literal(value)} by hand",
            )
        text = changed
    return text


def literal(value: Json) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {literal(one)}" for key, one in value.items()) + " }"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _wanted(text: str, path: Path, value: Json) -> Mapping[str, Any]:
    data = copy.deepcopy(tomllib.loads(text))
    table = data
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = value
    return data


def _set(text: str, path: Path, value: Json) -> str:
    lines, rows = key_lines(text), text.splitlines()
    if path in lines:
        at = lines[path] - 1
        rows[at] = _replaced(rows[at], path[-1], value)
        return "\n".join(rows) + "\n"
    table = path[:-1]
    if table in lines:
        at = lines[table] - 1
        if rows[at].lstrip().startswith("["):
            rows.insert(at + 1, f"{path[-1]} = {literal(value)}")
        else:
            rows[at] = _into_table(rows[at], table, f"{path[-1]} = {literal(value)}")
        return "\n".join(rows) + "\n"
    if len(table) > 1:
        return _set(text, table, {path[-1]: value})
    return _with_table(text, table, f"{path[-1]} = {literal(value)}")


def _replaced(row: str, key: str, value: Json) -> str:
    pattern = rf"(?<![\w-])({re.escape(key)}\s*=\s*)(\"[^\"]*\"|'[^']*'|[^,}}#\s]+)"
    return re.sub(pattern, lambda found: found.group(1) + literal(value), row, count=1)


def _into_table(row: str, table: Sequence[str], entry: str) -> str:
    pattern = rf"(?<![\w-])({re.escape(table[-1])}\s*=\s*\{{)\s*"
    return re.sub(pattern, lambda found: f"{found.group(1)} {entry}, ", row, count=1)


def _with_table(text: str, table: Path, entry: str) -> str:
    head = text if not text or text.endswith("\n") else text + "\n"
    gap = "\n" if head else ""
    return f"{head}{gap}[{'.'.join(table)}]\n{entry}\n"
