"""Answers that people write, read into the task's shape."""

from __future__ import annotations

import pytest

from feedback_replies import ANSWER, CLASSIFY, EXTRACT, FIELDS, LABELS, MULTILABEL, fields
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
)
from metier.feedback.answers import LONGEST, make_target, read_answer, reply_is_wrong
from metier.models.prompt import expected, parse_reply, render_target


@pytest.mark.parametrize("given", ["card_arrival", "card arrival", " Card  Arrival "])
def test_a_label_may_be_given_in_words(given: str) -> None:
    assert read_answer(CLASSIFY, LABELS, given) == "card_arrival"


@pytest.mark.parametrize("given", ["not card arrival", "card", "", "+", 3, ["top_up"], None])
def test_a_label_is_taken_at_its_word(given: Json) -> None:
    with pytest.raises(InputError, match="one label"):
        read_answer(CLASSIFY, LABELS, given)


def test_an_unknown_label_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'top_up'"):
        read_answer(CLASSIFY, LABELS, "topup")
    assert read_answer(CLASSIFY, (), " anything ") == "anything"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["top_up", "card arrival"], ["card_arrival", "top_up"]),
        ("top up; card arrival", ["card_arrival", "top_up"]),
        ("top_up, refund", ["refund", "top_up"]),
        ('["refund"]', ["refund"]),
        ("refund\nrefund", ["refund"]),
        ("none", []),
        ([], []),
    ],
)
def test_several_labels(given: Json, wanted: list[str]) -> None:
    assert read_answer(MULTILABEL, LABELS, given) == wanted


@pytest.mark.parametrize("given", ["refund; cash", "", ["cash"], {"refund": 1}, "[refund", [3]])
def test_one_unknown_label_of_several_is_not_dropped(given: Json) -> None:
    with pytest.raises(InputError, match="label"):
        read_answer(MULTILABEL, LABELS, given)


def test_an_object_as_such_or_as_text_in_the_order_of_the_schema() -> None:
    given = {"reply": "Soon.", "route": "Parcels"}
    read = read_answer(FIELDS, (), given)
    assert list(read.items()) == [("route", "parcels"), ("reply", "Soon.")]
    assert read_answer(FIELDS, (), fields("parcels", "Soon.")) == read


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"route": "parcel depot", "reply": "x"}, "allowed values"),
        ({"route": "parcels"}, "reply is missing"),
        ({"route": "parcels", "reply": "x", "rout": 1}, "did you mean 'route'"),
        ({"route": "parcels", "reply": 3}, "not string"),
        ({"route": "parcels", "reply": "x", "urgent": 1}, "not boolean"),
        ({"route": "parcels", "reply": float("nan")}, "plain JSON"),
        ("route: parcels", "an object"),
        ('[{"route": "parcels"}]', "an object"),
        ("[" * 100_000, "an object"),
    ],
)
def test_an_object_that_does_not_follow_the_fields(given: Json, why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_answer(FIELDS, (), given)


def test_text_tasks_take_text() -> None:
    assert read_answer(ANSWER, (), "Ten days.") == "Ten days."
    for given in ("  ", 3, {"text": "a"}):
        with pytest.raises(InputError, match="a text"):
            read_answer(ANSWER, (), given)
    with pytest.raises(InputError, match="at most"):
        read_answer(ANSWER, (), "a" * (LONGEST + 1))


def test_spans_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="stretches of text"):
        read_answer(EXTRACT, (), "[]")


@pytest.mark.parametrize(
    ("objective", "given", "target"),
    [
        (CLASSIFY, "refund", LabelTarget("refund")),
        (MULTILABEL, "top_up; refund", LabelsTarget(("refund", "top_up"))),
        (
            FIELDS,
            fields("parcels"),
            FieldsTarget({"route": "parcels", "reply": "We look into it."}),
        ),
        (ANSWER, "Ten days.", CompletionTarget("Ten days.")),
    ],
)
def test_an_answer_makes_the_target_that_reads_as_it(
    objective: Objective, given: Json, target: Json
) -> None:
    answer = read_answer(objective, LABELS, given)
    assert make_target(objective, answer) == target
    assert expected(target) == answer
    assert parse_reply(render_target(target, objective), objective, LABELS) == answer


@pytest.mark.parametrize(
    ("objective", "reply", "answer", "wrong"),
    [
        (CLASSIFY, "card arrival", "card_arrival", False),
        (CLASSIFY, "top up", "card_arrival", True),
        (CLASSIFY, "???", "card_arrival", True),
        (MULTILABEL, "top up; refund", ["refund", "top_up"], False),
        (MULTILABEL, "refund", ["refund", "top_up"], True),
        (FIELDS, fields("parcels", "Other words."), {"route": "parcels", "reply": "x"}, False),
        (FIELDS, fields("machines"), {"route": "parcels", "reply": "We look into it."}, True),
        (FIELDS, fields("parcels", urgent=True), {"route": "parcels", "urgent": False}, True),
        (FIELDS, "no object", {"route": "parcels"}, True),
        (ANSWER, " Ten  DAYS. ", "Ten days.", False),
        (ANSWER, "Nine days.", "Ten days.", True),
        (ANSWER, "", "Ten days.", True),
    ],
)
def test_closed_sets_count_exactly_and_wording_does_not(
    objective: Objective, reply: str, answer: Json, wrong: bool
) -> None:
    assert reply_is_wrong(objective, LABELS, reply, answer) is wrong


def test_an_object_of_texts_alone_is_compared_by_them() -> None:
    notes = Objective(
        task="structured", fields={"type": "object", "properties": {"note": {"type": "string"}}}
    )
    assert not reply_is_wrong(notes, (), '{"note": "A  b"}', {"note": "a b"})
    assert reply_is_wrong(notes, (), '{"note": "a c"}', {"note": "a b"})
