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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

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

    slots: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    """Values by slot."""
    template: Annotated[list[Template], Field(min_length=1)]
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
        for slot in _slots(template):
            if slot not in found.slots:
                raise ConfigError(
                    "a slot that [slots] lists",
                    got=f"{path.name}: {{{slot}}}",
                    remedy=nearest(slot, found.slots),
                )
    return found


def _slots(template: Template) -> list[str]:
    """Return the slots of a template in the order in which they are named, each once."""
    found: list[str] = []

    def note(text: str) -> str:
        found.extend(_SLOT.findall(text))
        return text

    note(template.prompt)
    _mapped(template.target, note)
    return list(dict.fromkeys(found))


def _filled(
    template: Template, slots: Mapping[str, list[str]], objective: Objective, rng: random.Random
) -> Iterator[Made]:
    names = _slots(template)
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
    filled = _mapped(target, lambda text: _put(text, given))
    if isinstance(filled, dict):
        return FieldsTarget(filled)
    if isinstance(filled, list) or objective.task == "multilabel":
        return LabelsTarget(tuple(sorted({*filled} if isinstance(filled, list) else {filled})))
    return LabelTarget(filled) if objective.task == "classify" else CompletionTarget(filled)


def _mapped(value: Json, change: Callable[[str], str]) -> Json:
    """Return a JSON value with every text in it changed."""
    match value:
        case str():
            return change(value)
        case list():
            return [_mapped(one, change) for one in value]
        case dict():
            return {name: _mapped(one, change) for name, one in value.items()}
        case _:
            return value
