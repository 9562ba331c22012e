"""Rows from templates, for cases the user names and the data lacks.

[slots]
product = ["Kettle 3", "Mixer X"]
fault = ["smokes", "leaks"]

[[template]]
prompt = "My {product} {fault} and there is a child in the room!"
target = { route = "safety", reply = "Please unplug the {product} at once." }
count = 20
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from metier.core.errors import ConfigError, nearest
from metier.core.objective import Objective
from metier.core.section import Section
from metier.core.types import (
    CompletionTarget,
    Conversation,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
)
from metier.data.augment.made import Made

_SLOT = re.compile(r"\{(\w+)\}")


class Template(Section):
    """One sentence with holes, and what should be answered."""

    prompt: str
    """What is asked, with {slot} for the holes."""
    target: str | list[str] | dict[str, Json]
    """What should be answered: text or label, a list of labels, or a table of fields."""
    count: int = Field(default=10, ge=1, le=10_000)
    """How many different rows are wanted; fewer come where the slots allow no more."""


class TemplateFile(Section):
    """What the file holds."""

    slots: dict[str, list[str]] = Field(default_factory=dict)
    """Values by slot."""
    template: list[Template] = Field(default_factory=list)
    """The templates."""


def from_templates(path: Path, objective: Objective, seed: int) -> Iterator[Made]:
    """Yield rows of every template in the file, each different.

    Raises ConfigError where the file cannot be read, or names a slot it lacks.
    """
    found = _read(path)
    for number, template in enumerate(found.template, 1):
        yield from _filled(template, found.slots, objective, random.Random(f"{seed} {number}"))


def _read(path: Path) -> TemplateFile:
    try:
        found = TemplateFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigError("a file of templates", got=str(path), remedy="write it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise ConfigError(
            "TOML with [slots] and [[template]] prompt, target, count",
            got=f"{path.name}: {error}",
            remedy="correct the file",
        ) from error
    for template in found.template:
        for slot in _SLOT.findall(f"{template.prompt} {template.target}"):
            if slot not in found.slots:
                raise ConfigError(
                    "a slot that [slots] lists",
                    got=f"{path.name}: {{{slot}}}",
                    remedy=nearest(slot, found.slots),
                )
    return found


def _filled(
    template: Template, slots: Mapping[str, list[str]], objective: Objective, rng: random.Random
) -> Iterator[Made]:
    names = list(dict.fromkeys(_SLOT.findall(f"{template.prompt} {template.target}")))
    seen: set[tuple[str, ...]] = set()
    for _ in range(template.count * 20):
        values = tuple(rng.choice(slots[name]) for name in names)
        if values in seen:
            continue
        seen.add(values)
        given = dict(zip(names, values, strict=True))
        asked = Conversation.of(("user", _put(template.prompt, given)))
        yield Made(None, "templates", asked, _target(template.target, given, objective), 1.0)
        if len(seen) == template.count:
            return


def _put(text: str, given: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda match: given[match[1]], text)


def _target(
    target: str | list[str] | dict[str, Json], given: Mapping[str, str], objective: Objective
) -> ExampleTarget:
    if isinstance(target, dict):
        return FieldsTarget({k: _value(v, given) for k, v in target.items()})
    if isinstance(target, list):
        return LabelsTarget(tuple(sorted(_put(one, given) for one in target)))
    text = _put(target, given)
    return LabelTarget(text) if objective.task == "classify" else CompletionTarget(text)


def _value(value: Json, given: Mapping[str, str]) -> Json:
    return _put(value, given) if isinstance(value, str) else value
