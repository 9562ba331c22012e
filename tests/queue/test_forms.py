"""Forms: derived from the objective, published as JSON, and answers checked field by field."""

from __future__ import annotations

from typing import Any

import pytest

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.queue.forms import (
    ANSWER,
    LONGEST,
    Form,
    FormField,
    check_answer,
    clear_answer,
    form_from,
    form_json,
    form_of,
    rubric_form,
    values_of,
)

LABELS = ("card_arrival", "card_lost")
TICKET = Objective.model_validate(
    {
        "task": "structured",
        "fields": {
            "type": "object",
            "required": ["route", "urgent"],
            "properties": {
                "route": {"enum": ["billing", "returns"], "description": "who takes it"},
                "urgent": {"type": "boolean"},
                "amount": {"type": ["integer", "null"]},
                "reply": {"type": "string"},
                "lines": {"type": "array", "items": {"type": "string"}},
            },
        },
    }
)


def objective(task: str) -> Objective:
    return Objective.model_validate({"task": task})


@pytest.mark.parametrize(
    ("task", "kind"),
    [("classify", "label"), ("multilabel", "labels"), ("extract", "spans"), ("answer", "text"),
     ("summarize", "text"), ("chat", "text")],
)  # fmt: skip
def test_each_task_has_its_form(task: str, kind: str) -> None:
    (only,) = form_of(objective(task), LABELS).fields
    assert (only.name, only.kind) == (ANSWER, kind)
    assert only.options == (LABELS if kind in ("label", "labels", "spans") else ())


def test_an_object_has_a_field_for_each_property() -> None:
    form = form_of(TICKET)
    kinds = {one.name: (one.kind, one.required) for one in form.fields}
    assert kinds == {
        "route": ("label", True),
        "urgent": ("label", True),
        "amount": ("number", False),
        "reply": ("text", False),
        "lines": ("json", False),
    }
    assert form.fields[0].about == "who takes it"


def test_a_form_survives_json() -> None:
    form = rubric_form([{"name": "empathy", "anchors": {"1": "cold", "5": "warm"}}], beside=True)
    assert form_from(form_json(form)) == form
    assert [one.kind for one in form.fields] == ["comparison", "rating"]
    assert form_from(form_json(form_of(TICKET))) == form_of(TICKET)


def test_marking_without_labels_is_refused() -> None:
    with pytest.raises(InputError, match="labels"):
        form_of(objective("extract"))
    assert form_of(objective("classify")).fields[0].kind == "text"


@pytest.mark.parametrize(
    ("task", "given", "kept"),
    [
        ("classify", "card_lost", "card_lost"),
        ("classify", "Card lost", "card_lost"),
        ("multilabel", ["card_lost", "card_arrival", "card_lost"], ["card_arrival", "card_lost"]),
        ("multilabel", [], []),
        ("answer", "Yes.", "Yes."),
        (
            "extract",
            [{"start": 4, "end": 6, "label": "card_lost"}] * 2,
            [{"start": 4, "end": 6, "label": "card_lost"}],
        ),
    ],
)
def test_an_answer_takes_the_forms_shape(task: str, given: Any, kept: Any) -> None:
    assert check_answer(form_of(objective(task), LABELS), given, "a text of words") == kept


@pytest.mark.parametrize(
    ("task", "given", "why"),
    [
        ("classify", "card_arival", "card_arrival"),
        ("classify", None, "nothing"),
        ("multilabel", "card_lost", "a list"),
        ("answer", "   ", "a text"),
        ("extract", [{"start": 6, "end": 4, "label": "card_lost"}], "start before end"),
        ("extract", [{"start": 0, "end": 99, "label": "card_lost"}], "of 15"),
        ("extract", [{"start": True, "end": 2, "label": "card_lost"}], "start before end"),
        ("extract", [{"start": 0, "end": 2, "label": "other"}], "one of its options"),
        ("answer", "a" * LONGEST, "at most"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(task: str, given: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_answer(form_of(objective(task), LABELS), given, "a text of words")


def test_an_objects_values_are_typed() -> None:
    form = form_of(TICKET)
    given = {"route": "Billing", "urgent": "true", "amount": 3.0, "lines": ["a"]}
    kept = {"route": "billing", "urgent": True, "amount": 3, "lines": ["a"]}
    assert check_answer(form, given) == kept
    assert check_answer(form, {"route": "returns", "urgent": False}) == {
        "route": "returns",
        "urgent": False,
    }


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"route": "billing"}, "Urgent"),
        ({"route": "billing", "urgent": True, "rout": 1}, "route"),
        ({"route": "billing", "urgent": True, "amount": 1.5}, "whole number"),
        ({"route": "billing", "urgent": True, "lines": [1]}, "Lines"),
        ("billing", "an object"),
    ],
)
def test_the_field_that_is_wrong_is_named(given: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_answer(form_of(TICKET), given)


def test_ratings_keep_to_their_scale() -> None:
    form = rubric_form([{"name": "accuracy"}, {"name": "tone", "required": False}])
    assert check_answer(form, {"accuracy": 4.0}) == {"accuracy": 4}
    for bad in (0, 6, 2.5, True, "4"):
        with pytest.raises(InputError, match="Accuracy: a whole number from 1 to 5"):
            check_answer(form, {"accuracy": bad})


def test_typed_words_are_cleared_and_choices_are_not() -> None:
    form = form_of(TICKET)
    value = {"route": "billing", "urgent": True, "reply": "call Ann", "lines": ["Ann"]}
    after = clear_answer(form, value, lambda text: text.replace("Ann", "[NAME]"))
    assert after["reply"] == "call [NAME]" and after["lines"] == ["[NAME]"]
    assert after["route"] == "billing"
    closed = form_of(objective("classify"), LABELS)
    assert clear_answer(closed, "card_lost", str.upper) == "card_lost"


def test_every_answer_can_be_read_by_field() -> None:
    assert values_of(Form((FormField(ANSWER, "label", "Label"),)), "x") == {ANSWER: "x"}
    assert values_of(form_of(TICKET), {"route": "billing"}) == {"route": "billing"}
    assert values_of(form_of(TICKET), None) == {}
