"""Filling in a structured reply: metier writes the JSON, the model only what goes into it.

Keys, quotes and commas are fixed, in schema order, so every reply is valid JSON with every field.
A closed field (``enum``, ``const``, boolean, null) is scored, a number is spelled with digits only,
text is written up to the closing quote. Lists and what may be one thing or another are written
under a grammar (``schema_text``), which lets through only what follows the schema; the fields of an
object within are fields of their own, by dotted names. A number or free list that does not follow
its schema is written again under the grammar.

    {"route": "  <- billing | delivery: scored  ", "reply": "  <- written up to the next quote  "}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Literal

from metier.core.completer import Sampling
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation, Json
from metier.models.choosing import FillingCompleter, Priors, certainty, corrected_best, joined
from metier.models.schema import Closed, Free, Node, Number, Record, Text, accepts
from metier.models.schema_reader import read_schema
from metier.models.schema_text import Grammar

NUMBER_TOKENS = 16
DIGITS = "0123456789.-+eE ,}"
PRIOR_TEXT_TOKENS = 32
"""While priors are estimated, text that stands before a closed field is kept this short."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """How one property of the schema is filled; ``values`` are the choices of a closed one.

    ``before`` and ``after`` are what stands around it when the reply is written: the key, and the
    brackets that close with it. ``node`` is what its schema allows.
    """

    name: str
    kind: Literal["closed", "number", "text", "json", "shape"]
    values: tuple[Json, ...] = ()
    whole: bool = False
    before: str = ""
    after: str = ""
    node: Node | None = None

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
    text: str = ""
    parts: list[Completion] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)

    @property
    def begun(self) -> Conversation:
        """The conversation with the reply begun."""
        return self.asked.then("assistant", self.text)


def field_specs(objective: Objective) -> list[FieldSpec]:
    """Return how each property of a structured objective is filled, in schema order."""
    return [
        _spec(name, node, "", "") for name, node in _root(json.dumps(objective.fields or {})).fields
    ]


def leaf_specs(objective: Objective) -> list[FieldSpec]:
    """Return how a structured reply is written: every field, those of objects within by path."""
    return _leaves(_root(json.dumps(objective.fields or {})), "", "", "")


def fill_fields(
    completer: FillingCompleter,
    conversations: Sequence[Conversation],
    objective: Objective,
    sampling: Sampling,
    priors: Priors,
) -> list[Completion]:
    """Fill the form for each conversation; ``sampling.max_tokens`` holds for each text field."""
    forms = [Form(asked) for asked in conversations]
    for spec in leaf_specs(objective):
        _fill_field(completer, forms, spec, sampling, priors)
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
    specs = leaf_specs(objective)
    closed = [index for index, spec in enumerate(specs) if spec.kind == "closed"]
    found: dict[str, tuple[list[str], list[list[float]]]] = {}
    brief = Sampling(max_tokens=PRIOR_TEXT_TOKENS)
    for spec in specs[: max(closed, default=-1) + 1]:
        rows = _fill_field(completer, forms, spec, brief, {})
        if spec.kind == "closed":
            found[spec.name] = ([value_name(value) for value in spec.values], rows)
    return found


def value_name(value: Json) -> str:
    """Return a closed field's value as a name: strings as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


@lru_cache(maxsize=64)
def _root(fields: str) -> Record:
    node = read_schema(json.loads(fields))
    return node if isinstance(node, Record) else Record(())


def _leaves(record: Record, path: str, opening: str, closing: str) -> list[FieldSpec]:
    """Return the fields of an object in order; ``opening`` and ``closing`` stand around it."""
    found: list[FieldSpec] = []
    last = len(record.fields) - 1
    for number, (name, node) in enumerate(record.fields):
        before = (opening + "{" if number == 0 else ", ") + f"{_quoted(name)}:"
        after = "}" + closing if number == last else ""
        if isinstance(node, Record):
            found += _leaves(node, f"{path}{name}.", before + " ", after)
        else:
            found.append(_spec(path + name, node, before, after))
    return found


def _spec(name: str, node: Node, before: str, after: str) -> FieldSpec:
    make = partial(FieldSpec, name, before=before, after=after, node=node)
    if isinstance(node, Closed):
        return make("closed", node.values)
    if isinstance(node, Number):
        return make("number", whole=node.whole)
    if isinstance(node, Text) and not node.least:
        return make("text")
    return make("json" if isinstance(node, Free) else "shape")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _fill_field(
    completer: FillingCompleter,
    forms: Sequence[Form],
    spec: FieldSpec,
    sampling: Sampling,
    priors: Priors,
) -> list[list[float]]:
    """Write one field into every form; returns the scores of a closed one."""
    for form in forms:
        form.text += spec.before + (' "' if spec.quoted else "")
    rows: list[list[float]] = []
    if spec.kind == "closed":
        rows = _choose(completer, forms, spec, priors.get(spec.name, {}))
    elif spec.kind == "shape":
        _write_shape(completer, forms, spec, sampling)
    else:
        _write(completer, forms, spec, sampling)
    for form in forms:
        form.text += ('"' if spec.quoted else "") + spec.after
    return rows


def _choose(
    completer: FillingCompleter,
    forms: Sequence[Form],
    spec: FieldSpec,
    prior: Mapping[str, float],
) -> list[list[float]]:
    written = [_quoted(value) for value in spec.values]
    written = [text[1:-1] if spec.quoted else f" {text}" for text in written]
    close = ('"' if spec.quoted else "") + (spec.after[:1] or ",")
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
    most = spec.node.most if isinstance(spec.node, Text) else None
    if most is not None:
        ends = UpTo(most)
    replies = completer.fill([form.begun for form in forms], sampling, ends, alphabet)
    again: list[Form] = []
    for form, reply in zip(forms, replies, strict=True):
        # Only cut text is worth telling: a number or list that ran on is read as far.
        form.parts.append(reply if spec.kind == "text" else replace(reply, finish_reason="stop"))
        if spec.kind == "text":
            form.text += as_json_inner(reply.text, most)
            continue
        value = _value(reply.text, spec)
        if spec.node is None or accepts(spec.node, value):
            form.text += " " + _quoted(value)
        else:
            again.append(form)
    if again:
        _write_shape(completer, again, spec, sampling)


def _write_shape(
    completer: FillingCompleter, forms: Sequence[Form], spec: FieldSpec, sampling: Sampling
) -> None:
    """Write a value under its grammar; what was cut short is completed."""
    grammar = Grammar(spec.node or Text())
    begun = [form.begun for form in forms]
    replies = completer.fill(begun, sampling, grammar.end, None, grammar)
    for form, reply in zip(forms, replies, strict=True):
        form.parts.append(reply)
        form.text += " " + _quoted(grammar.value(reply.text))


@dataclass(frozen=True)
class UpTo:
    """Ends a string at its quote, at the latest after so many characters."""

    most: int

    @property
    def key(self) -> str:
        """What stands for this end in a cache."""
        return f"up to {self.most}"

    def __call__(self, text: str) -> int | None:
        """Return the place of the closing quote, or where the text is long enough."""
        end = closing_quote(text)
        if end is not None:
            return end
        return len(text) if len(_inner_value(text)) >= self.most else None


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


def as_json_inner(text: str, most: int | None = None) -> str:
    """Return what was written between two quotes as valid JSON string content.

    A broken escape (the reply may have been cut inside one) is taken literally; characters beyond
    ``most`` are left out.
    """
    return _quoted(_inner_value(text)[:most])[1:-1]


def _inner_value(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text[:-1] if text.endswith("\\") else text


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
