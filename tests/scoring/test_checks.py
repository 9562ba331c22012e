import math

import pytest

from metier.core.config import load_toml, validate
from metier.core.errors import ConfigError, InputError
from metier.core.objective import Objective, Target
from metier.core.types import Score
from metier.scoring import check_targets, make_metric, metric_info, primary_metric, task_metrics
from metier.scoring.checks import MAX_CHARACTERS, graded
from metier.scoring.materials import NOTHING, Materials
from metier.scoring.tasks import shown_info
from metier.scoring.texts.coverage import covered, parts

SCHEMA = {
    "type": "object",
    "properties": {"reply": {"type": "string"}, "route": {"enum": ["a", "b"]}},
}


def objective(*checks, task="answer", **more):
    return Objective.model_validate({"task": task, "check": list(checks), **more})


def reply(got, expected="x", asked=None, **detail):
    asked = {} if asked is None else {"asked": asked}
    return Score("ex", None, expected, got, detail=asked | detail)


def outcome(check, got, materials=NOTHING, **more):
    """The value of one reply under one check, and the reason."""
    found = graded(objective(check).check[0], [reply(got, **more)], materials)[0]
    return found.value, found.detail.get("why", "")


def test_a_check_is_a_metric_under_its_name():
    asked = objective({"type": "length", "name": "short", "max_words": 3})
    texts = ["one two", "one two three four", None, "  "]
    records = [Score(f"ex{n}", None, got=text) for n, text in enumerate(texts)]
    found = make_metric("short", objective=asked)(records)
    assert (found.value, found.n, found.method) == (0.25, 4, "Wilson")
    assert metric_info("short", asked).kind == "proportion"
    assert "short" in task_metrics(asked)


def test_a_reply_that_failed_or_is_missing_never_passes():
    never = {"type": "pattern", "name": "clean", "must_not_match": "bad"}
    assert outcome(never, None) == (0.0, "no answer")
    assert outcome(never, " \n") == (0.0, "no answer")
    assert outcome(never, "fine", error="timed out") == (0.0, "no answer")


@pytest.mark.parametrize(
    ("check", "got", "value", "why"),
    [
        ({"must_match": r"^Dear\b"}, "Dear Ann", 1, ""),
        ({"must_match": r"^Dear\b"}, "dear Ann", 0, "must_match is not found"),
        ({"must_match": r"^Dear\b", "ignore_case": True}, "dear Ann", 1, ""),
        ({"must_not_match": r"\d{5,}"}, "call 0301234", 0, "holds '0301234', which must_not_match"),
        ({"must_not_match": "ß"}, "Straße", 0, "holds 'ß'"),
        ({"must_match": "x", "must_not_match": "y"}, "x and y", 0, "holds 'y'"),
    ],
)
def test_patterns(check, got, value, why):
    found = outcome({"type": "pattern", "name": "p", **check}, got)
    assert found[0] == value and why in found[1]


def test_what_a_pattern_did_not_see_does_not_pass():
    long = "a" * (MAX_CHARACTERS + 1)
    assert outcome({"type": "pattern", "name": "p", "must_not_match": "b"}, long) == (
        0.0,
        "20,001 characters, of which only 20,000 are read",
    )
    assert outcome({"type": "pattern", "name": "p", "must_match": "a"}, long)[0] == 1.0


def test_a_wrong_pattern_is_an_error_with_its_line(tmp_path):
    file = tmp_path / "metier.toml"
    head = '[objective]\ntask = "answer"\n\n[[objective.check]]\n'
    file.write_text(head + 'type = "pattern"\nname = "p"\nmust_match = "(a"\n', encoding="utf-8")
    document = load_toml(file)
    with pytest.raises(ConfigError, match=r"metier.toml:7: .*must_match: not a regular expression"):
        validate(Objective, document.data["objective"], document, ("objective",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "pattern", "name": "p"},
        {"type": "length", "name": "p"},
        {"type": "length", "name": "p", "min_words": 5, "max_words": 2},
        {"type": "style", "name": "p"},
        {"type": "style", "name": "p", "address": "formal"},
        {"type": "style", "name": "P q", "banned": ["x"]},
        {"type": "nothing", "name": "p"},
    ],
)
def test_checks_that_ask_nothing_or_contradict_themselves(wrong):
    with pytest.raises(ValueError, match=r"."):
        objective(wrong)


def test_codes_must_stand_in_the_list(tmp_path):
    (tmp_path / "codes.txt").write_text("AB-100\n\nAB-200\n", encoding="utf-8")
    (tmp_path / "codes.csv").write_text("name,code\nLamp,AB-100\n", encoding="utf-8")
    check = {
        "type": "catalogue",
        "name": "c",
        "pattern": r"\b[A-Z]{2}-\d{3}\b",
        "file": "codes.txt",
    }
    here = Materials(tmp_path)
    assert outcome(check, "Take AB-100 or ab-200.", here)[0] == 1
    assert outcome(check, "Take AB-300, AB-300.", here) == (0, "not in codes.txt: 'AB-300'")
    assert outcome(check, "Take the lamp.", here)[0] == 1
    assert outcome({**check, "required": True}, "Take the lamp.", here) == (0, "names none")
    column = {**check, "file": "codes.csv", "column": "code"}
    assert outcome(column, "AB-200", here)[0] == 0 and outcome(column, "AB-100", here)[0] == 1
    group = {**check, "pattern": r"item (\S+)"}
    assert outcome(group, "item AB-100", here)[0] == 1
    assert outcome({**check, "ignore_case": False}, "AB-100 ab-1", here)[0] == 1


def test_lists_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("Bär".encode("latin-1"))
    (tmp_path / "codes.csv").write_text("name,code\nLamp,AB-100\n", encoding="utf-8")
    check = {"type": "catalogue", "name": "c", "pattern": "A"}
    for file, words in [
        ("none.txt", "no such file"),
        ("empty.txt", "none"),
        ("latin.txt", "not UTF-8 at 1"),
        (".", "a folder"),
    ]:
        with pytest.raises(InputError, match=words):
            outcome({**check, "file": file}, "A", Materials(tmp_path))
    with pytest.raises(InputError, match="did you mean 'code'"):
        outcome({**check, "file": "codes.csv", "column": "cod"}, "A", Materials(tmp_path))


def test_another_list_is_another_measurement(tmp_path):
    file = tmp_path / "codes.txt"
    check = {"type": "catalogue", "name": "c", "pattern": "A", "file": "codes.txt"}
    checks = objective(check).check
    file.write_text("A", encoding="utf-8")
    before = Materials(tmp_path).fingerprint(checks)
    file.write_text("B", encoding="utf-8")
    assert Materials(tmp_path).fingerprint(checks) != before


NUMBERS = {"type": "numbers", "name": "n"}


@pytest.mark.parametrize(
    ("check", "got", "value"),
    [
        ({}, "Take 0.5 g twice.", 1),
        ({}, "Take 1 g.", 0),
        ({}, "Take it with food.", 1),
        ({}, "You asked about 20 mg.", 1),
        ({"against": "reference"}, "You asked about 20 mg.", 0),
        ({"against": "question"}, "Take 500 mg.", 0),
        ({}, "Take 500 mg for 9 weeks in 7 steps.", 0),
        ({}, "Take 500 mg in 7 steps.", 1),
        ({"plain": True}, "Take 500 mg in 7 steps.", 0),
        ({"complete": True}, "Take it.", 0),
    ],
)
def test_amounts_come_from_the_reference_or_the_question(check, got, value):
    found = outcome({**NUMBERS, **check}, got, expected="500 mg", asked="Is 20 mg enough?")
    assert found[0] == value


def test_amounts_say_which_are_wrong_or_left_out():
    assert outcome(NUMBERS, "1 g or $5", expected="500 mg")[1] == "numbers from elsewhere: 1 g, $5"
    lacking = outcome({**NUMBERS, "complete": True}, "Take it.", expected="500 mg")
    assert lacking[1] == "numbers left out: 500 mg"


def test_numbers_without_anything_to_hold_them_against_are_undefined():
    asked = objective(NUMBERS)
    found = make_metric("n", objective=asked)([reply("5 mg", expected=None)])
    assert math.isnan(found.value)
    assert "1 of 1 items have nothing to hold their numbers against" in found.warnings[-1]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "What does it cost, and when will it arrive? Also, can I return it?",
            ["What does it cost", "and when will it arrive?", "can I return it?"],
        ),
        ("My order 4711 is late. Where is it and why?", ["Where is it and why?"]),
        (
            "1. What is the price?\n2) How long is delivery?",
            ["What is the price?", "How long is delivery?"],
        ),
        ("Tell me about refunds", ["Tell me about refunds"]),
        (
            "Is it safe to take ibuprofen and paracetamol?",
            ["Is it safe to take ibuprofen and paracetamol?"],
        ),
        ("", []),
    ],
)
def test_questions_fall_into_parts(question, expected):
    found = parts(question)
    assert len(found) == len(expected)
    assert all(one in two or two in one for one, two in zip(found, expected, strict=True))


QUESTION = "What does shipping cost? How do I return shoes?"


def test_every_part_must_be_taken_up():
    check = {"type": "parts", "name": "all_parts"}
    both = "Shipping costs 5 euros. You return shoes by post."
    assert outcome(check, both, asked=QUESTION) == (1, "")
    value, why = outcome(check, "Shipping costs 5 euros.", asked=QUESTION)
    assert value == 0 and why == "not taken up: 'How do I return shoes?'"
    assert [part.held for part in covered(QUESTION, "Shipping costs 5 euros.")] == [1.0, 0.0]


def test_coverage_is_the_mean_share_of_parts():
    records = [
        reply("Shipping costs 5 euros.", asked=QUESTION),
        reply("Return shoes by post; shipping costs nothing.", asked=QUESTION),
        reply(None, asked=QUESTION),
        reply("Anything.", asked=None),
    ]
    found = make_metric("coverage")(records)
    assert (found.value, found.n) == (0.5, 3)
    assert any("1 of 4 items came without a question" in note for note in found.warnings)


def test_fields_of_structured_replies_are_read_alone():
    check = {"type": "length", "name": "short", "field": "reply", "max_words": 2}
    asked = objective(check, task="structured", fields=SCHEMA)
    records = [reply({"reply": "one two", "route": "a"}), reply({"route": "a"}), reply("text")]
    found = graded(asked.check[0], records)
    assert [one.value for one in found] == [1.0, 0.0, 0.0]
    assert found[0].got == {"reply": "one two", "route": "a"}


def test_whole_structured_replies_are_read_as_written():
    check = {"type": "pattern", "name": "p", "must_match": '"route"'}
    found = outcome(check, {"route": "a"}, raw='{"route": "a"}')
    assert found[0] == 1


def test_wrong_names_are_told_with_their_place():
    wrong = objective(
        {"type": "length", "name": "short", "max_words": 5},
        {"type": "length", "name": "short", "max_words": 6, "field": "nothing"},
        {"type": "length", "name": "rouge1", "max_words": 6},
        metrics=["rouge2", "rouge2", "f1_makro"],
        target=[Target(metric="short", at_least=0.9, label="a")],
    )
    with pytest.raises(ConfigError) as error:
        check_targets(wrong)
    for words in (
        "objective.check[1].name: two checks are called 'short'",
        "objective.check[1].field: no field 'nothing'",
        "objective.check[2].name: 'rouge1' is the name of a metric",
        "objective.metrics[1]: 'rouge2' is listed twice",
        "objective.metrics[2]: there is no metric 'f1_makro'",
        "objective.target[0]: 'short' goes over all classes",
    ):
        assert words in str(error.value)


def test_metrics_beyond_the_default_are_computed_where_asked_for():
    assert "empathy" not in task_metrics(Objective(task="answer"))
    assert "empathy" in task_metrics(objective(metrics=["empathy"]))
    targeted = Objective(task="answer", target=[Target(metric="coverage", at_least=0.5)])
    assert "coverage" in task_metrics(targeted)
    assert "empathy" not in task_metrics(objective(task="classify", metrics=["empathy"]))
    fields = objective(task="structured", fields=SCHEMA, metrics=["reply.empathy"])
    assert "reply.empathy" in task_metrics(fields)
    check_targets(fields)


def test_checks_and_proxies_do_not_stand_for_the_task():
    wanted = objective(
        {"type": "length", "name": "short", "max_words": 5},
        target=[
            Target(metric="short", at_least=0.9),
            Target(metric="empathy", at_least=0.2),
            Target(metric="coverage", at_least=0.2),
            Target(metric="rouge1", at_least=0.2),
        ],
    )
    check_targets(wanted)
    assert primary_metric(wanted) == "rouge1"


def test_a_name_the_project_no_longer_knows_can_still_be_shown():
    assert shown_info("gone").description == "No longer in this project."
    assert shown_info("rouge1") == metric_info("rouge1")
