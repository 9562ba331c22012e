import pytest

from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring import Resampling, field_view, make_metric, slice_view
from metier.scoring.labels.structured import violations

FAST = Resampling(50)
SCHEMA = {
    "type": "object",
    "properties": {
        "route": {"type": "string", "enum": ["billing", "tech"]},
        "reply": {"type": "string"},
        "urgent": {"type": "boolean"},
        "codes": {"type": "array", "items": {"enum": ["A1", "B2"]}},
        "amount": {"type": "number"},
    },
    "required": ["route", "reply"],
    "additionalProperties": False,
}
OBJECTIVE = Objective(task="structured", fields=SCHEMA)


def record(number, expected, got):
    return Score(f"e{number}", None, expected, got, slices={"lang": "en" if number else "fr"})


RECORDS = [
    record(
        0, {"route": "billing", "reply": "Pay here"}, {"route": "billing", "reply": "pay here!"}
    ),
    record(1, {"route": "tech", "reply": "Restart it"}, {"route": "billing", "reply": "Restart"}),
    record(2, {"route": "tech", "reply": "Wait"}, None),
]


def test_each_field_has_its_own_metrics():
    assert make_metric("route.accuracy")(RECORDS, FAST).value == pytest.approx(1 / 3)
    assert make_metric("reply.exact_match")(RECORDS, FAST).value == pytest.approx(1 / 3)
    f1 = make_metric("reply.token_f1")
    assert f1(RECORDS, FAST).value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert f1.info.name == "reply.token_f1" and f1.info.unit == "share"
    assert make_metric("route.recall", label="tech")(RECORDS, FAST).value == 0.0


def test_a_field_of_an_unreadable_reply_is_unanswered():
    assert [r.got for r in field_view(RECORDS, "route")] == ["billing", "billing", None]
    assert make_metric("route.unanswered_rate")(RECORDS, FAST).value == pytest.approx(1 / 3)


def test_a_slice_is_a_part_of_the_records():
    assert [r.example_id for r in slice_view(RECORDS, "lang", "en")] == ["e1", "e2"]
    assert slice_view(RECORDS, "lang", "de") == []


def test_share_of_valid_replies():
    metric = make_metric("schema_valid", objective=OBJECTIVE)
    assert metric(RECORDS, FAST).value == pytest.approx(2 / 3)
    loose = make_metric("schema_valid")  # without the schema: any object
    assert loose([record(1, {}, {"x": 1}), record(2, {}, "text")], FAST).value == 0.5


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (None, "reply is None, not object"),
        ("text", "reply is 'text', not object"),
        ({"route": "billing"}, "reply.reply is missing"),
        ({"route": "sales", "reply": ""}, "reply.route is 'sales', not one of the allowed values"),
        ({"route": "tech", "reply": 3}, "reply.reply is 3, not string"),
        ({"route": "tech", "reply": "", "mood": 1}, "reply.mood is not in the schema"),
        ({"route": "tech", "reply": "", "urgent": 1}, "reply.urgent is 1, not boolean"),
        (
            {"route": "tech", "reply": "", "codes": ["A1", "C3"]},
            "reply.codes[1] is 'C3', not one of the allowed values",
        ),
        ({"route": "tech", "reply": "", "amount": True}, "reply.amount is True, not number"),
    ],
)
def test_violations_are_named(reply, problem):
    assert violations(reply, SCHEMA) == [problem]


def test_what_follows_the_schema_has_no_violations():
    full = {"route": "tech", "reply": "ä", "urgent": False, "codes": ["A1"], "amount": 2}
    assert violations(full, SCHEMA) == []
    assert violations(4.0, {"type": "integer"}) == [] and violations(4.5, {"type": "integer"})
    assert violations(None, {"type": ["string", "null"]}) == []


def test_a_schema_without_required_asks_for_every_property():
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}}
    assert violations({"a": "x"}, schema) == ["reply.b is missing"]
