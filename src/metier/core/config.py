"""Config: read TOML, and say on which line a value is wrong.

    document = load_toml(Path("metier.toml"))
    project = validate(Project, document.data, document)

Every unit owns the model of its own section; nothing here knows what the sections are.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from metier.core.errors import ConfigError, NotFound, nearest
from metier.core.toml_lines import Loc, key_lines

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class TomlDocument:
    """A parsed TOML file that remembers where its keys stand."""

    path: Path
    data: Mapping[str, Any]
    text: str

    def line_of(self, loc: Loc) -> int:
        """The line, from 1, of a key given by its path; of the nearest one above if absent."""
        while loc and loc not in self._lines:
            loc = loc[:-1]
        return self._lines.get(loc, 1)

    def known(self, loc: Loc) -> Loc:
        """``loc`` without the parts that the file does not have, e.g. the tag of a union."""
        path: Loc = ()
        for part in loc:
            if (*path, part) in self._lines:
                path = (*path, part)
        return path

    @cached_property
    def _lines(self) -> dict[Loc, int]:
        return key_lines(self.text)


def load_toml(path: Path) -> TomlDocument:
    """Read a TOML file. Raises NotFound, or ConfigError with file:line where it is not TOML."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound("a config file", got=f"no file {path}", remedy="check the path") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _not_toml(path, line, f"byte {raw[error.start]:#04x} is not UTF-8") from error
    text = text.replace("\r\n", "\n")
    try:
        return TomlDocument(path, tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = int(at.group(1)) if at else text.count("\n") + 1
        raise _not_toml(path, line, re.sub(r" \(at .*\)$", "", str(error))) from error


def validate(
    model: type[Model], data: Mapping[str, Any], document: TomlDocument, prefix: Loc = ()
) -> Model:
    """Build ``model`` from the part of ``document`` at ``prefix``.

    Raises ConfigError that lists every problem as ``metier.toml:LINE: key: what is wrong``.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        problems = [_Problem(model, document, prefix, one) for one in error.errors()]
    raise ConfigError(
        f"a valid {document.path}",
        got="\n".join(_merged(problems)),
        remedy="correct these lines" if len(problems) > 1 else "correct this line",
    )


class _Problem:
    """One of pydantic's errors, with its place in the file."""

    def __init__(
        self, model: type[BaseModel], document: TomlDocument, prefix: Loc, error: Any
    ) -> None:
        loc: Loc = tuple(error["loc"])
        missing = error["type"] == "missing"
        shown = document.known(prefix + loc) + ((loc[-1],) if missing else ())
        self.key = _dotted(shown) or "the whole file"
        self.line = document.line_of(shown)
        self.place = f"{document.path.name}:{self.line}: {self.key}"
        self.words = _words(model, loc, error)


def _words(model: type[BaseModel], loc: Loc, error: Any) -> str:
    if error["type"] == "missing":
        return "is required here"
    if error["type"] == "extra_forbidden":
        key, place = str(loc[-1]), _belongs(model, loc)
        return f"no such key; {place or nearest(key, _keys_at(model, loc[:-1]))}"
    words = str(error["msg"]).removeprefix("Value error, ")
    words = words[:1].lower() + words[1:]
    given = error.get("input")
    return words if isinstance(given, dict | list) else f"{words}, got {given!r}"


def _merged(problems: Iterable[_Problem]) -> list[str]:
    """One line a key: the branches of a union each complain of the same value."""
    by_place: dict[str, list[_Problem]] = {}
    for problem in sorted(problems, key=lambda one: one.line):
        by_place.setdefault(problem.place, []).append(problem)
    lines = []
    for place, same in by_place.items():
        words = list(dict.fromkeys(one.words for one in same))
        lines.append(f"{place}: {'; or '.join(words)}")
    return lines


def _keys_at(model: type[BaseModel], loc: Loc) -> set[str]:
    """The keys that the table at ``loc`` may have."""
    return {name for one in _models_at(model, loc) for name in one.model_fields}


def _models_at(model: type[BaseModel], loc: Loc) -> set[type[BaseModel]]:
    """The models that the table at ``loc`` may be of; a union's tag in ``loc`` chooses one."""
    models = {model}
    for part in loc:
        if isinstance(part, int):
            continue
        below = {
            found
            for one in models
            if part in one.model_fields
            for found in _models_in(one.model_fields[part].annotation)
        }
        models = below or {one for one in models if _tag(one) == part} or models
    return models


def _belongs(model: type[BaseModel], loc: Loc) -> str:
    """Where a key that is out of place would be right: with another type, or one table below."""
    key, table = loc[-1], loc[:-1]
    others = {
        str(_tag(one))
        for one in _models_at(model, table[:-1])
        if key in one.model_fields and table and table[-1] != _tag(one)
    }
    if others and _tag_in(model, table):
        types = " or ".join(f'"{name}"' for name in sorted(others))
        return f"{key} is one of type = {types}"
    below = sorted(
        name
        for one in _models_at(model, table)
        for name, field in one.model_fields.items()
        if any(key in inner.model_fields for inner in _models_in(field.annotation))
    )
    return f"it stands in {below[0]}: {below[0]} = {{ {key} = … }}" if below else ""


def _tag_in(model: type[BaseModel], table: Loc) -> bool:
    """Whether the last part of ``table`` is the tag of a union, as pydantic puts it there."""
    return bool(table) and any(_tag(one) == table[-1] for one in _models_at(model, table[:-1]))


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for argument in get_args(annotation) for found in _models_in(argument)}


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("type")
    return None if field is None else next(iter(get_args(field.annotation)), None)


def _dotted(loc: Loc) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc]
    return "".join(parts).removeprefix(".")


def _not_toml(path: Path, line: int, words: str) -> ConfigError:
    return ConfigError("TOML", got=f"{path}:{line}: {words}", remedy="correct that line")
