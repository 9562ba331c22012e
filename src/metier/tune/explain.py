"""Why every setting of ``[tune]`` is what it is: its value, where it comes from, and a source.

    for row in explain(project.tune, document):
        print(row.key, row.value, row.origin, row.why, row.source)

The sentences stand in ``explain.toml``; a test holds that every setting of every method and
algorithm has one. Imports no torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, get_args

from pydantic import BaseModel

from metier.core.config import TomlDocument
from metier.core.toml_lines import Loc
from metier.core.types import Json
from metier.tune.config import TuneConfig
from metier.tune.devices.world import World

SECTION = "tune"
DEFAULT, AUTO = "default", "auto"
TAG = "type"
DEVICES_PAGE = "docs/tune/devices.md"
DEVICES = "The examples of each optimiser step are divided among as many processes."
WHOLE = "Each device holds the whole model, which is the fastest where it fits."
SHARDS = "Each device holds its part of every weight, gradient and optimiser state (FSDP2)."


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting. ``origin`` is default, auto, or the line of the file that sets it."""

    key: str
    value: Json
    origin: str
    why: str
    source: str


def explain(
    config: TuneConfig,
    document: TomlDocument | None = None,
    auto: Mapping[str, Json] | None = None,
) -> list[Explained]:
    """Explain every setting in force, in the order of the config.

    ``document`` is the file it was read from (None: only defaults and values are told apart);
    ``auto`` holds what settings that say auto come to.
    """
    found = []
    for key, loc, value in _walk(config, "", (SECTION,)):
        reason = reasons()[key]
        resolved = (auto or {}).get(key)
        origin = _origin(document, loc)
        if value == AUTO and resolved is not None:
            value, origin = resolved, f"{AUTO} ({origin})" if origin != DEFAULT else AUTO
        found.append(Explained(_shown(key), value, origin, reason["why"], reason["source"]))
    return found


def divided(world: World) -> list[Explained]:
    """Explain what the command line says of devices; nothing where there is one."""
    if world.size == 1:
        return []
    origin = "--shard" if world.sharded else DEFAULT
    return [
        Explained("devices", world.size, "--devices", DEVICES, DEVICES_PAGE),
        Explained("shard", world.sharded, origin, SHARDS if world.sharded else WHOLE, DEVICES_PAGE),
    ]


@cache
def reasons() -> dict[str, dict[str, str]]:
    """Return why and source of every setting, by its path with the type of a union in it."""
    text = files("metier.tune").joinpath("explain.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = tomllib.loads(text)
    return {key: found[entry["like"]] if "like" in entry else entry for key, entry in found.items()}


def every_key(model: type[BaseModel] = TuneConfig, prefix: str = "") -> Iterator[str]:
    """Return the paths of all settings, those of every type of every union."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        yield key
        for one in _models(field.annotation):
            yield from every_key(one, f"{key}.{_tag(one)}.".replace("..", "."))


def _walk(model: BaseModel, prefix: str, loc: Loc) -> Iterator[tuple[str, Loc, Json]]:
    # A type says what its table is: it comes first.
    for name in sorted(type(model).model_fields, key=lambda name: name != TAG):
        value, key, place = getattr(model, name), f"{prefix}{name}", (*loc, name)
        if isinstance(value, BaseModel):
            yield from _inside(value, key, place)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for number, one in enumerate(value):
                yield from _inside(one, key, (*place, number))
        else:
            yield key, place, value


def _inside(value: BaseModel, key: str, place: Loc) -> Iterator[tuple[str, Loc, Json]]:
    return _walk(value, f"{key}.{_tag(type(value))}.".replace("..", "."), place)


def _origin(document: TomlDocument | None, loc: Loc) -> str:
    if document is None:
        return DEFAULT
    if document.known(loc) != loc:
        return DEFAULT
    return f"{document.path.name}:{document.line_of(loc)}"


def _shown(key: str) -> str:
    """Return the path as it is written in the file: without the types of unions."""
    shown: list[str] = []
    model: set[type[BaseModel]] = {TuneConfig}
    for part in key.split("."):
        fields = [one.model_fields[part] for one in model if part in one.model_fields]
        if fields:
            shown.append(part)
            model = {inner for field in fields for inner in _models(field.annotation)} or model
        else:
            model = {one for one in model if _tag(one) == part}
    return ".".join(shown)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _tag(model: type[BaseModel]) -> str:
    """Return the type by which a union knows the model; empty: it is in no union."""
    field = model.model_fields.get(TAG)
    values = get_args(field.annotation) if field is not None else ()
    return str(values[0]) if len(values) == 1 else ""
