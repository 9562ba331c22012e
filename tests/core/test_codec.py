"""Every stored type comes back equal, whatever its text holds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.codec import (
    dumps,
    examples_from_parquet,
    examples_to_parquet,
    from_json,
    loads,
    predictions_from_parquet,
    predictions_to_parquet,
    to_json,
)
from metier.core.records import (
    Confusion,
    DataVersion,
    Difference,
    EvaluationReport,
    MetricPoint,
    Prediction,
    TuneRun,
)
from metier.core.types import (
    Completion,
    CompletionTarget,
    Conversation,
    Estimate,
    Example,
    FieldsTarget,
    Image,
    LabelsTarget,
    LabelTarget,
    Message,
    PreferenceTarget,
    Provenance,
    Score,
    Slice,
    Span,
    SpansTarget,
    Text,
    Timing,
    Usage,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ESTIMATE = Estimate(0.5, 0.4, 0.6, 10, 5, warnings=("few items",))
VALUES = [
    Message("user", (Text("hi"), Image("ab" * 32)), weight=0),
    ESTIMATE,
    Slice("site", "north"),
    Score("ex_1", None, expected={"a": [1]}, got=None, detail={"why": "no answer"}),
    MetricPoint(3, "loss", 0.25),
    Confusion(("a", "b"), ((1, 2, 0), (3, 4, 1))),
    Difference("f1", "tuned", "tfidf", ESTIMATE, 0.01),
    DataVersion("ver_1", "h", NOW, {"train": 2}, {"train": "d"}, ("a", "b"), {"x": [1]}, {"y": {}}),
    TuneRun("run_1", "ver_1", "metier/tiny", "done", NOW, None, {"lr": 2e-4}, None, {}),
    EvaluationReport(
        "eval_1", NOW, "ver_1", "test", "tuned", "t", "f", None, 3,
        metrics={"f1": ESTIMATE},
        per_class={"": {"a": {"f1": ESTIMATE}}},
        confusion={"": Confusion(("a",), ((1, 0),))},
        settings={"variant": "list", "priors": [0.5, None]},
        usd_per_1000=0.1,
        predictions="d",
        warnings=("one", "two"),
    ),
]  # fmt: skip
TARGETS = [
    None,
    CompletionTarget("yes\x00\ud83d"),
    LabelTarget("a"),
    LabelsTarget(("a", "b")),
    SpansTarget((Span(0, 2, "name"),)),
    FieldsTarget({"flag": "high", "n": 3, "ok": None, "more": [{"x": 1.5}]}),
    PreferenceTarget("good", "bad", 2.0),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_records_round_trip(value: Any) -> None:
    assert loads(type(value), dumps(value)) == value


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1e-300, 0.1])
def test_numbers_that_json_lacks_are_strict_json(number: float) -> None:
    text = dumps(MetricPoint(1, "x", number))
    assert json.loads(text, parse_constant=pytest.fail)
    assert loads(MetricPoint, text).value == number
    assert from_json(dict[str, Any], to_json({"a": [number]})) == {"a": [number]}


def test_nan_survives() -> None:
    back = loads(Estimate, dumps(Estimate(1.0, math.nan, math.nan, 1, 1)))
    assert math.isnan(back.low)


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match=r"set cannot be stored as JSON: \{1\}"):
        to_json({"a": {1}})

    @dataclass(frozen=True)
    class Untagged:
        x: int

    @dataclass(frozen=True)
    class Holder:
        one: Untagged | Estimate

    with pytest.raises((TypeError, KeyError, NameError)):
        from_json(Holder, {"one": {"x": 1}})


def example(text: str, target: Any, **changes: Any) -> Example:
    values: dict[str, Any] = {
        "id": Example.make_id("d", text[:3] + type(target).__name__),
        "conversation": Conversation((Message("user", (Text(text), Image("x"))),)),
        "target": target,
        "provenance": Provenance("in.csv", "d", "1", parent="ex_0", steps=("clean", "split")),
    }
    return Example(**values | changes)


def test_examples_round_trip_with_every_target() -> None:
    examples = [example("hi", target, group="g", split="test") for target in TARGETS]
    back = examples_from_parquet(examples_to_parquet(examples))
    assert back == examples
    assert [one.content_hash for one in back] == [one.content_hash for one in examples]


def test_no_examples_is_a_valid_file() -> None:
    assert examples_from_parquet(examples_to_parquet([])) == []


@given(st.text(st.characters()), st.text(), st.dictionaries(st.text(), st.text(), max_size=2))
def test_any_text_survives(text: str, group: str, slices: dict[str, str]) -> None:
    one = example(text, LabelTarget(text), group=group, slices=slices)
    assert examples_from_parquet(examples_to_parquet([one])) == [one]


def test_equal_examples_give_equal_bytes() -> None:
    examples = [example("hi", target) for target in TARGETS]
    assert examples_to_parquet(examples) == examples_to_parquet(list(examples))


def test_predictions_round_trip() -> None:
    completion = Completion(
        "a", "length", Usage(3, 4), Timing(0.5, None, 8), {"a": -0.1, "b": -2.5}, None
    )
    predictions = [
        Prediction("pred_1", "ex_1", completion, {"flag": None}, ["a"], "g", {"site": "n"}),
        Prediction("pred_2", "ex_2", Completion("", "error", error="timeout"), None, "a", "ex_2"),
    ]
    assert predictions_from_parquet(predictions_to_parquet(predictions)) == predictions
