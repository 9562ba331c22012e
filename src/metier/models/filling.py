"""Filling in a structured reply: metier writes the JSON, the model only what goes into it.

Keys, quotes and commas are fixed, in schema order, so every reply is valid JSON with every field.
A closed field (``enum``, boolean, null) is scored, a number is spelled with digits only, text is
written up to the closing quote, a list or object up to its closing bracket.

    {"route": "  <- billing | delivery: scored  ", "reply": "  <- written up to the next quote  "}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from metier.core.completer import Sampling
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation, Json
from metier.models.choosing import FillingCompleter, Priors, certainty, corrected_best, joined

NUMBER_TOKENS = 16
DIGITS = "0123456789.-+eE ,}"
PRIOR_TEXT_TOKENS = 32
"""While priors are estimated, text that stands before a closed field is kept this short."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """How one property of the schema is filled; ``values`` are the choices of a closed one."""

    name: str
    kind: Literal["closed", "number", "text", "json"]
    values: tuple[Json, ...] = ()
    whole: bool = False

    @property
    def quoted(self) -> bool:
        """Whether metier writes quotes around the value."""
        return self.kind == "text" or (
            self.kind == "closed" and all(isinstance(value, str) for value in self.values)
        )


@dataclass
class Form:
    """One reply in the making: the JSON so far, the passes it took, and the probability of each
    closed choice."""

    asked: Conversation
    text: str = "{"
    parts: list[Completion] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)

    @property
    def begun(self) -> Conversation:
        """The conversation with the reply begun."""
        return self.asked.then("assistant", self.text)


def field_specs(objective: Objective) -> list[FieldSpec]:
    """Return how each property of a structured objective is filled, in schema order."""
    properties = (objective.fields or {}).get("properties", {})
    return [_spec(name, spec) for name, spec in properties.items()]


def fill_fields(
    completer: FillingCompleter,
    conversations: Sequence[Conversation],
    objective: Objective,
    sampling: Sampling,
    priors: Priors,
) -> list[Completion]:
    """Fill the form for each conversation; ``sampling.max_tokens`` holds for each text field."""
    forms = [Form(asked) for asked in conversations]
    specs = field_specs(objective)
    for spec in specs:
        _fill_field(completer, forms, spec, spec is specs[-1], sampling, priors)
    return [
        replace(joined(form.text, form.parts), confidence=min(form.sure, default=None))
        for form in forms
    ]


def closed_field_scores(
    completer: FillingCompleter, conversations: Sequence[Conversation], objective: Objective
) -> dict[str, tuple[list[str], list[list[float]]]]:
    """Return per closed field its values and their log-probabilities [conversations][values].

    Fields before it are filled in without correction; those after the last closed one are not.
    """
    forms = [Form(asked) for asked in conversations]
    specs = field_specs(objective)
    closed = [index for index, spec in enumerate(specs) if spec.kind == "closed"]
    found: dict[str, tuple[list[str], list[list[float]]]] = {}
    brief = Sampling(max_tokens=PRIOR_TEXT_TOKENS)
    for spec in specs[: max(closed, default=-1) + 1]:
        rows = _fill_field(completer, forms, spec, spec is specs[-1], brief, {})
        if spec.kind == "closed":
            found[spec.name] = ([value_name(value) for value in spec.values], rows)
    return found


def value_name(value: Json) -> str:
    """Return a closed field's value as a name: strings as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _spec(name: str, spec: Mapping[str, Json]) -> FieldSpec:
    if "enum" in spec:
        return FieldSpec(name, "closed", tuple(spec["enum"]))
    kinds = spec.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if set(kinds) <= {"boolean", "null"}:
        values = [True, False] if "boolean" in kinds else []
        return FieldSpec(name, "closed", (*values, *([None] if "null" in kinds else [])))
    if {"array", "object"} & set(kinds):
        return FieldSpec(name, "json")
    if {"number", "integer"} & set(kinds):
        return FieldSpec(name, "number", whole="number" not in kinds)
    return FieldSpec(name, "text")


def _fill_field(
    completer: FillingCompleter,
    forms: Sequence[Form],
    spec: FieldSpec,
    last: bool,
    sampling: Sampling,
    priors: Priors,
) -> list[list[float]]:
    """Write one field into every form; returns the scores of a closed one."""
    for form in forms:
        comma = "" if form.text == "{" else ", "
        form.text += f"{comma}{json.dumps(spec.name, ensure_ascii=False)}:"
        form.text += ' "' if spec.quoted else ""
    after = "}" if last else ","
    rows: list[list[float]] = []
    if spec.kind == "closed":
        rows = _choose(completer, forms, spec, after, priors.get(spec.name, {}))
    else:
        _write(completer, forms, spec, sampling)
    for form in forms:
        form.text += ('"' if spec.quoted else "") + ("}" if last else "")
    return rows


def _choose(
    completer: FillingCompleter,
    forms: Sequence[Form],
    spec: FieldSpec,
    after: str,
    prior: Mapping[str, float],
) -> list[list[float]]:
    written = [json.dumps(value, ensure_ascii=False) for value in spec.values]
    written = [text[1:-1] if spec.quoted else f" {text}" for text in written]
    close = f'"{after}' if spec.quoted else after
    scored = completer.choose([form.begun for form in forms], written, [close] * len(written))
    names = [value_name(value) for value in spec.values]
    for form, (row, part) in zip(forms, scored, strict=True):
        best = corrected_best(names, row, prior)
        form.text += written[best]
        form.sure.append(certainty(row, best))
        form.parts.append(part)
    return [row for row, _ in scored]


def _write(
    completer: FillingCompleter, forms: Sequence[Form], spec: FieldSpec, sampling: Sampling
) -> None:
    ends, alphabet = closing_quote, None
    if spec.kind == "number":
        ends, alphabet = _closing_comma, DIGITS
        sampling = replace(sampling, max_tokens=NUMBER_TOKENS, temperature=0.0)
    elif spec.kind == "json":
        ends = _closing_bracket
    replies = completer.fill([form.begun for form in forms], sampling, ends, alphabet)
    for form, reply in zip(forms, replies, strict=True):
        # Only cut text is worth telling: a number or list that ran on is null or read as far.
        form.parts.append(reply if spec.kind == "text" else replace(reply, finish_reason="stop"))
        if spec.kind == "text":
            form.text += as_json_inner(reply.text)
        else:
            form.text += " " + json.dumps(_value(reply.text, spec), ensure_ascii=False)


def closing_quote(text: str) -> int | None:
    """Return the place of the first quote that no backslash escapes."""
    place = 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == '"':
            return place
        place += 1
    return None


def as_json_inner(text: str) -> str:
    """Return what was written between two quotes as valid JSON string content.

    A broken escape (the reply may have been cut inside one) is taken literally.
    """
    try:
        value = json.loads(f'"{text}"', strict=False)
    except ValueError:
        value = text[:-1] if text.endswith("\\") else text
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _closing_comma(text: str) -> int | None:
    found = re.search(r"[,}]|(?<=\d) ", text)
    return found.start() if found else None


def _closing_bracket(text: str) -> int | None:
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] not in ("", "[", "{"):
        return start
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except ValueError:
        return None
    return end


def _value(text: str, spec: FieldSpec) -> Json:
    """Read a number, list or object; null when the model wrote none."""
    if spec.kind == "number":
        found = re.match(r"\s*([-+]?\d+(?:\.\d+)?)", text)
        if not found:
            return None
        number = float(found[1])
        return (
            int(number) if spec.whole or (number.is_integer() and "." not in found[1]) else number
        )
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return None
