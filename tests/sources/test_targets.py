"""Targets by task, and cells that do not fit them."""

import pytest

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    Span,
    SpansTarget,
)
from metier.sources import BadRow, Row, SourceConfig, to_example
from metier.sources.targets import make_target, separate
from metier.sources.types import RowError

SCHEMA = {
    "type": "object",
    "properties": {
        "risk": {"enum": ["Low", "High"]},
        "reason": {"type": "string"},
        "amount": {"type": "number"},
        "months": {"type": "integer"},
        "insured": {"type": "boolean"},
        "tags": {"type": "array"},
    },
    "required": ["risk", "reason"],
}
STRUCTURED = Objective(task="structured", fields=SCHEMA)


def reason(cell: Json, objective: Objective, prompt: str = "") -> tuple[str, str]:
    with pytest.raises(RowError) as caught:
        make_target(cell, objective, prompt)
    return caught.value.kind, str(caught.value)


@pytest.mark.parametrize("task", ["answer", "summarize", "compose", "chat"])
def test_text_tasks_keep_the_text(task: str) -> None:
    objective = Objective.model_validate({"task": task})
    assert make_target("Yes.\n", objective, "") == CompletionTarget("Yes.\n")
    assert reason(" ", objective) == ("no_target", "the target is empty")


@pytest.mark.parametrize("cell", ["billing", " billing\n", ["billing"], "['billing']"])
def test_one_label(cell: Json) -> None:
    assert make_target(cell, Objective(task="classify"), "") == LabelTarget("billing")


def test_two_labels_where_one_is_wanted() -> None:
    kind, words = reason(["a", "b"], Objective(task="classify"))
    assert (kind, words) == ("bad_target", "2 labels where one is wanted")


@pytest.mark.parametrize(
    "cell", [["b", "a", "b"], '["a", "b"]', "['a', 'b']", "b; a", "a|b", "a, b", "a\nb", "a;b;"]
)
def test_labels_in_every_notation(cell: Json) -> None:
    assert make_target(cell, Objective(task="multilabel"), "") == LabelsTarget(("a", "b"))


@pytest.mark.parametrize("cell", ["", [], "[]", None])
def test_no_labels_is_an_answer_too(cell: Json) -> None:
    assert make_target(cell, Objective(task="multilabel"), "") == LabelsTarget(())


def test_a_known_label_is_not_split_at_its_comma() -> None:
    assert separate("lost, stolen", ["lost, stolen", "late"]) == ["lost, stolen"]
    assert separate("lost, stolen; late") == ["lost, stolen", "late"]


def test_numbers_can_be_labels() -> None:
    assert make_target(3, Objective(task="classify"), "") == LabelTarget("3")


@pytest.mark.parametrize(
    "cell",
    [
        [{"start": 5, "end": 9, "label": "name"}],
        [[5, 9, "name"]],
        '[{"start_position": 5, "end_position": 9, "entity_type": "name"}]',
        [{"text": "Anna", "label": "name"}],
        {"name": "Anna"},
        {"name": ["Anna"], "city": ""},
    ],
)
def test_spans_in_every_notation(cell: Json) -> None:
    target = make_target(cell, Objective(task="extract"), "I am Anna.")
    assert target == SpansTarget((Span(5, 9, "name"),))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("Anna", "expected a list of spans, got 'Anna'"),
        ([7], "a span is 7"),
        ([{"start": 5, "end": 99, "label": "x"}], "span 5-99 in a text of 10 characters"),
        ([{"start": 5, "end": 5, "label": "x"}], "span 5-5"),
        ([{"start": 5, "end": 9}], "a span without a label"),
        ({"name": "Maria"}, "name: 'Maria' does not occur in the prompt"),
    ],
)
def test_spans_that_do_not_fit(cell: Json, words: str) -> None:
    kind, said = reason(cell, Objective(task="extract"), "I am Anna.")
    assert kind == "bad_target"
    assert words in said


def test_fields_are_typed_by_the_schema() -> None:
    cells = {
        "risk": " high ",
        "reason": "late twice",
        "amount": "1,234.50",
        "months": "12",
        "insured": "Yes",
        "tags": "a; b",
    }
    assert make_target(cells, STRUCTURED, "") == FieldsTarget(
        {
            "risk": "High",
            "reason": "late twice",
            "amount": 1234.5,
            "months": 12,
            "insured": True,
            "tags": ["a", "b"],
        }
    )


def test_fields_from_one_json_column() -> None:
    target = make_target('{"risk": "Low", "reason": "paid"}', STRUCTURED, "")
    assert target == FieldsTarget({"risk": "Low", "reason": "paid"})


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"risk": "medium"}, "bad_target", "field 'risk': 'medium' is none of Low, High"),
        ({"reason": ""}, "no_target", "field 'reason' is empty"),
        ({"amount": "much"}, "bad_target", "field 'amount': 'much' is not of type number"),
        ({"amount": "nan"}, "bad_target", "'nan' is not of type number"),
        ({"months": "1.5"}, "bad_target", "'1.5' is not of type integer"),
        ({"insured": "maybe"}, "bad_target", "'maybe' is not of type boolean"),
    ],
)
def test_fields_that_do_not_fit(change: dict[str, str], kind: str, words: str) -> None:
    got, said = reason({"risk": "Low", "reason": "x", **change}, STRUCTURED)
    assert got == kind
    assert words in said


def test_a_column_that_holds_no_object() -> None:
    assert reason("[1]", STRUCTURED)[0] == "bad_target"
    assert reason("{", STRUCTURED)[0] == "broken_json"
    assert reason("", STRUCTURED)[0] == "no_target"


def convert(target: object, objective: Objective) -> object:
    config = SourceConfig.model_validate({"path": "x.csv", "prompt": "q", "target": target})
    row = Row({"q": "Is Anna in?", "r": "Low", "why": "paid", "n": "Anna"}, "1", "x.csv:2")
    return to_example(row, config, objective, "d")


def test_a_table_of_columns_for_structured_and_extract() -> None:
    made = convert({"risk": "r", "reason": "{why} {n}"}, STRUCTURED)
    assert not isinstance(made, BadRow)
    assert made.target == FieldsTarget({"risk": "Low", "reason": "paid Anna"})  # type: ignore[attr-defined]
    made = convert({"name": "n"}, Objective(task="extract"))
    assert made.target == SpansTarget((Span(3, 7, "name"),))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("target", "objective", "words"),
    [
        ({"a": "r"}, Objective(task="classify"), "one column as target for the task classify"),
        ({"risc": "r", "reason": "why"}, STRUCTURED, "did you mean 'risk'"),
        ({"risk": "r"}, STRUCTURED, 'add reason = "column"'),
    ],
)
def test_a_table_that_does_not_fit_the_objective(
    target: dict[str, str], objective: Objective, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        convert(target, objective)
    assert words in str(caught.value)
