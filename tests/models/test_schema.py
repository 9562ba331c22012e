"""Every reply follows the schema: read, refused in words, held to token by token, completed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metier.config import Project
from metier.core.completer import Sampling
from metier.core.objective import Objective
from metier.core.types import Conversation
from metier.models.answer import answer, estimate_priors
from metier.models.base import Base
from metier.models.engines.local import LocalCompleter
from metier.models.filling import leaf_specs
from metier.models.schema import Closed, Either, Items, Number, Record, Text, accepts, least
from metier.models.schema_reader import read_schema, refusals
from metier.models.schema_text import Grammar

jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="comes with schemathesis")

ASKED = [Conversation.of(("user", text)) for text in ("where is my card", "risk?")]
BRIEF = Sampling(max_tokens=12)
CHARACTERS = st.characters(exclude_categories=["Cs"])
SHORT = st.text(CHARACTERS, max_size=6)
closed = st.lists(
    st.one_of(st.none(), st.booleans(), st.integers(-50, 50), SHORT), min_size=1, max_size=4
).map(lambda values: {"enum": values})


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["integer", "number"]))
    step = st.integers(-3000, 3000)
    value = step if kind == "integer" else step.map(lambda one: one / 8)
    low, high = sorted([draw(value), draw(value)])
    names = draw(st.lists(st.sampled_from(["minimum", "maximum"]), unique=True))
    found: dict[str, Any] = {"type": kind}
    found |= {name: {"minimum": low, "maximum": high}[name] for name in names}
    if draw(st.booleans()) and kind == "number":
        found["exclusiveMaximum"] = high + 1
    return found


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    least_, more = draw(st.integers(0, 3)), draw(st.none() | st.integers(0, 4))
    bound = {} if more is None else {"maxLength": least_ + more}
    kind: Any = ["string", "null"] if draw(st.booleans()) else "string"
    return {"type": kind, "minLength": least_, **bound}


@st.composite
def lists(draw: st.DrawFn, item: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    fewest = draw(st.integers(0, 2))
    return {
        "type": "array",
        "items": draw(item),
        "minItems": fewest,
        "maxItems": fewest + draw(st.integers(0, 2)),
    }


@st.composite
def objects(draw: st.DrawFn, value: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    names = draw(st.lists(SHORT, min_size=1, max_size=3, unique=True))
    properties = {name: draw(value) for name in names}
    return {"type": "object", "properties": properties, "required": names}


leaves = st.one_of(
    closed, numbers(), strings(), st.sampled_from([{"type": "boolean"}, {"const": "x"}])
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        lists(inner), objects(inner), inner.map(lambda one: {"anyOf": [one, {"type": "null"}]})
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def completer(llama: Base) -> LocalCompleter:
    return LocalCompleter(llama)


def follows(schema: dict[str, Any], text: str) -> bool:
    return bool(jsonschema_rs.validator_for(schema).is_valid(json.loads(text)))


def objective(**properties: Any) -> Objective:
    return Objective(task="structured", fields={"type": "object", "properties": properties})


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(objects(values), st.booleans())
def test_whatever_a_random_model_writes_follows_the_schema(
    completer: LocalCompleter, schema: dict[str, Any], sampled: bool
) -> None:
    assert refusals(schema) == []
    how = Sampling(max_tokens=8, temperature=1.5 if sampled else 0.0, seed=3)
    asked = Objective(task="structured", fields=schema)
    for reply in answer(completer, ASKED, asked, [], how):
        assert follows(schema, reply.text), reply.text
        assert list(json.loads(reply.text)) == list(schema["properties"])


@settings(max_examples=80, deadline=None)
@given(values, st.data())
def test_every_beginning_of_a_value_fits_and_can_be_completed(
    schema: dict[str, Any], data: st.DataObject
) -> None:
    node = read_schema(schema)
    grammar = Grammar(node)
    value = data.draw(st.sampled_from([least(node)]))
    text = " " + json.dumps(value, ensure_ascii=False)
    assert accepts(node, value) and follows(schema, text)
    for end in range(len(text) + 1):
        assert grammar.fits(text[:end]), text[:end]
        assert follows(schema, json.dumps(grammar.value(text[:end]))), text[:end]
    assert grammar.whole(text)
    assert grammar.end(text + ", ") == len(text)


@given(values, st.text(CHARACTERS | st.sampled_from('[]{}",:0123456789.-\\u '), max_size=20))
def test_whatever_was_written_becomes_a_value(schema: dict[str, Any], text: str) -> None:
    value = Grammar(read_schema(schema)).value(text)
    assert follows(schema, json.dumps(value))


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "minimum": 10, "maximum": 25}, ["1", "2", "19"], ["3", "26", "0"]),
        ({"type": "integer", "minimum": -3, "maximum": 120}, ["-", "-3", "12"], ["-4", "121"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, ["0.", "0.01"], ["-", "1.1"]),
        ({"type": "integer"}, ["-1", "0", "12"], ["01", "1.", "+1", "1e3"]),
        ({"enum": ["café", "cat"]}, ['"ca', '"caf�', '"café"'], ['"cu', '"ca�']),
        ({"type": "string", "maxLength": 2}, ['"a\\n', '"a\\u00'], ['"abc', '"a\n', '"\\x', "a"]),
        ({"type": "string", "minLength": 2}, ['"a', '"ab"'], ['"a"', '""']),
        ({"type": ["string", "null"]}, ["nu", '"n'], ["no", "1"]),
        ({"type": "array", "items": {"enum": [1, 12]}, "uniqueItems": True},
         ["[", "[]", "[1, 12", "[12, 1]"], ["[1, 1,", "[1, 12, ", "[2", "[1,12"]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
         ['["a", "b"]', '["a"'], ["[]", '["a", "b",', "[1"]),
        ({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"const": 2}}},
         ['{"a": t', '{"a": true, "b": 2}'], ["{}", '{"b"', '{"a": true}', '{"a":true']),
    ],
)  # fmt: skip
def test_what_may_be_written(schema: dict[str, Any], good: list[str], bad: list[str]) -> None:
    grammar = Grammar(read_schema(schema))
    assert [text for text in good if not grammar.fits(text)] == []
    assert [text for text in bad if grammar.fits(text)] == []


def test_schemas_become_nodes() -> None:
    schema = {
        "$defs": {"Kind": {"enum": ["a", "b"]}},
        "properties": {
            "kind": {"$ref": "#/$defs/Kind", "description": "which"},
            "size": {"type": ["integer", "null"], "minimum": 1},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/Kind"}, "maxItems": 2},
            "both": {"anyOf": [{"const": "x"}, {"type": "null"}]},
            "when": {"type": "string", "format": "date", "default": ""},
        },
    }
    assert refusals(schema) == []
    node = read_schema(schema)
    assert isinstance(node, Record)
    from decimal import Decimal

    assert dict(node.fields) == {
        "kind": Closed(("a", "b")),
        "size": Either((Number(True, Decimal(1)), Closed((None,)))),
        "tags": Items(Closed(("a", "b")), 0, 2),
        "both": Closed(("x", None)),
        "when": Text(),
    }


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"type": "string", "pattern": "^a"}, "pattern cannot be followed (list the allowed"),
        ({"type": "number", "multipleOf": 5}, "multipleOf"),
        ({"type": "text"}, "type 'text'"),
        ({"type": "array", "items": {"type": "string"}, "minItem": 1}, "minItem is no keyword"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "no enum"),
        ({"type": "array", "minItems": 2}, "without items"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "as a schema"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no number lies"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength = 3"),
        ({"enum": []}, "enum is empty"),
        ({"type": "string", "enum": ["a", None]}, "null, which type forbids"),
        ({"$ref": "#/$defs/none"}, "points to nothing"),
        ({"$ref": "#"}, "points to nothing"),
        ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, "allOf of several"),
        ({"oneOf": [{"type": "string"}, {"const": "a"}]}, "share a type"),
        ({"anyOf": [{"type": "string"}], "maxLength": 3}, "maxLength beside anyOf"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "required 'b'"),
        (False, "a schema is an object"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_words(spec: Any, word: str) -> None:
    (problem,) = refusals({"properties": {"note": spec}})
    assert problem.startswith("note") and word in problem


def test_a_schema_that_refers_to_itself_is_refused() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}
    problems = refusals({"$defs": {"tree": tree}, "properties": {"root": {"$ref": "#/$defs/tree"}}})
    assert problems == [
        "root.left: #/$defs/tree refers to itself (write out as many levels as are needed)"
    ]


def test_the_project_file_is_refused_with_its_schema() -> None:
    fields = {"type": "object", "properties": {"code": {"type": "string", "pattern": "x"}}}
    with pytest.raises(ValueError, match="code: pattern cannot be followed"):
        Project.model_validate(
            {"project": {"name": "p"}, "objective": {"task": "structured", "fields": fields}}
        )


def test_fields_within_objects_are_scored_each(completer: LocalCompleter) -> None:
    inner = {"type": "object", "properties": {"city": {"enum": ["a", "b"]}, "note": {}}}
    asked = objective(to={"type": "object", "properties": {"where": inner}}, sure={"enum": [1, 2]})
    written = [(spec.name, spec.before, spec.after) for spec in leaf_specs(asked)]
    assert written == [
        ("to.where.city", '{"to": {"where": {"city":', ""),
        ("to.where.note", ', "note":', "}}"),
        ("sure", ', "sure":', "}"),
    ]
    assert set(estimate_priors(completer, ASKED, asked, [])) == {"to.where.city", "sure"}
    for reply in answer(completer, ASKED, asked, [], BRIEF):
        assert list(json.loads(reply.text)["to"]["where"]) == ["city", "note"]


def test_numbers_out_of_bounds_are_written_again(completer: LocalCompleter) -> None:
    bounds = {"type": "integer", "minimum": 1_000_000, "maximum": 1_000_004}
    for reply in answer(completer, ASKED, objective(n=bounds), [], BRIEF):
        assert 1_000_000 <= json.loads(reply.text)["n"] <= 1_000_004


def test_text_ends_at_its_longest(completer: LocalCompleter) -> None:
    plain = objective(note={"type": "string"})
    cut = objective(note={"type": "string", "maxLength": 3})
    whole = answer(completer, ASKED, plain, [], BRIEF)
    short = answer(completer, ASKED, cut, [], BRIEF)
    for long, brief in zip(whole, short, strict=True):
        assert json.loads(brief.text)["note"] == json.loads(long.text)["note"][:3]


def test_forms_under_a_grammar_equal_forms_filled_alone(completer: LocalCompleter) -> None:
    asked = objective(
        tags={"type": "array", "items": {"enum": ["card", "no", "yes"]}, "maxItems": 3},
        note={"type": ["string", "null"], "maxLength": 9},
    )
    together = [reply.text for reply in answer(completer, ASKED, asked, [], BRIEF)]
    assert together == [answer(completer, [one], asked, [], BRIEF)[0].text for one in ASKED]
