import math

import pytest

from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring import catalogue, make_metric
from metier.scoring.texts.readability import reading_ease, reading_grade, syllables
from metier.scoring.texts.tone import kinds_of, taken_up
from metier.scoring.truth.refusal import is_refusal, should_refuse

PROXIES = ("reading_ease", "reading_grade", "empathy", "personalisation")


def item(got, expected="an answer", **more):
    return Score("ex", None, expected, got, **more)


def test_proxies_are_marked_and_not_computed_unasked():
    for name in PROXIES:
        assert catalogue()[name].proxy and not catalogue()[name].default
    assert not catalogue()["refusal_accuracy"].proxy


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(("the", 1), ("cat", 1), ("table", 2), ("create", 2), ("created", 3), ("wanted", 2)),
        *(("makes", 1), ("boxes", 2), ("beautiful", 3), ("people", 2), ("hopeless", 2)),
        *(("reliable", 4), ("nation", 2), ("lion", 2), ("queue", 1), ("naïve", 2), ("12", 2)),
        *(("don't", 1), ("e-mail", 2), ("rhythm", 1), ("", 1)),
    ],
)
def test_syllables(word, count):
    assert syllables(word) == count


def test_reading_ease_and_grade_by_hand():
    text = "The quick brown fox jumps over the lazy dog."  # 9 words, 11 syllables, 1 sentence
    assert reading_ease(text) == pytest.approx(206.835 - 1.015 * 9 - 84.6 * 11 / 9)
    assert reading_grade(text) == pytest.approx(0.39 * 9 + 11.8 * 11 / 9 - 15.59)
    assert reading_ease("Go. Run. Sit.") == 100.0 and reading_grade("Go. Run. Sit.") == 0.0


def test_readability_is_undefined_for_what_is_not_english():
    assert reading_ease("Это не английский текст.") is None
    assert reading_ease("東京は晴れです。") is None
    assert reading_ease("... 12 !") is None
    german = "Die Katze sitzt auf der Matte und der Hund liegt vor der Tür, weil er müde ist " * 2
    assert reading_ease(german) is None
    found = make_metric("reading_ease")([item("Это не английский текст.")])
    assert math.isnan(found.value)
    assert "1 of 1 items are not English text in Latin script" in found.warnings[-1]


def test_a_missing_reply_is_the_hardest_to_read():
    assert make_metric("reading_ease")([item("Go."), item(None)]).value == 50.0
    assert make_metric("reading_grade")([item("Go."), item(None)]).value == 10.0


def test_empathy_counts_each_kind_once():
    text = "I’m so sorry to hear that. I understand how frustrating it is. Please let me know."
    assert kinds_of(text) == ("feeling", "apology", "help")
    assert kinds_of("Your parcel left on Monday.") == ()
    assert kinds_of("Thank you! Thanks again, and rest assured.") == ("thanks", "reassurance")
    assert make_metric("empathy")([item(text), item(None)]).value == pytest.approx(0.3)


def test_personalisation_is_the_share_of_the_questions_own_words():
    asked = "My order 4711 from Berlin is late"
    assert taken_up(asked, "Order 4711 left Berlin late.") == 1.0
    assert taken_up(asked, "Please wait.") == 0.0
    assert taken_up("Is it?", "yes") is None
    records = [item("Order 4711", detail={"asked": asked}), item(None, detail={"asked": asked})]
    assert make_metric("personalisation")(records).value == pytest.approx(0.25)
    bare = make_metric("personalisation")([item("Order 4711")])
    assert math.isnan(bare.value) and "came without a question" in bare.warnings[-1]


@pytest.mark.parametrize(
    "text",
    [
        *("I don’t know.", "I'm not able to answer that.", "The documents do not mention it."),
        *("That cannot be answered from the text.", "unknown", "Das weiß ich leider nicht."),
        *("Sorry, I can't help with that.", "No information is available on this."),
        "We do not have enough information.",
    ],
)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "You can return it.",
        "I know that it is blue.",
        "",
        "The unknown soldier's tomb",
        "Can't wait!",
    ],
)
def test_answers(text):
    assert not is_refusal(text)


def test_what_should_be_refused_is_told_by_slice_then_by_reference():
    assert should_refuse(item("x", slices={"unanswerable": "yes"})) is True
    assert should_refuse(item("x", "I do not know", slices={"unanswerable": "no"})) is False
    assert should_refuse(item("x", slices={"answerable": "no"})) is True
    assert should_refuse(item("x", "I do not know")) is True
    assert should_refuse(item("x", "Paris")) is False
    assert should_refuse(item("x", None)) is None


REFUSED = "I don't know."
FOUR = [
    item(REFUSED, slices={"unanswerable": "yes"}),  # rightly refused
    item(REFUSED, "Paris"),  # refused, should not be
    item("Rome", "I do not know"),  # answered, should not be
    item(None, "Rome"),  # failed
]


def test_refusal_accuracy_precision_and_recall():
    values = {
        name: make_metric(f"refusal_{name}")(FOUR) for name in ("accuracy", "precision", "recall")
    }
    assert {name: (one.value, one.n) for name, one in values.items()} == {
        "accuracy": (0.25, 4),
        "precision": (0.5, 2),
        "recall": (0.5, 2),
    }
    failed = [item(None, slices={"unanswerable": "yes"})]
    assert make_metric("refusal_recall")(failed).value == 0.0


def test_without_an_item_to_refuse_refusals_are_undefined():
    found = make_metric("refusal_accuracy")([item("Rome", "Rome")])
    assert math.isnan(found.value)
    assert "nothing says which items should be refused" in found.warnings[-1]


def test_a_project_adds_its_own_wordings():
    objective = Objective(task="answer", refusals=["ask your pharmacist"])
    records = [item("Please ask your pharmacist.", slices={"unanswerable": "yes"})]
    assert make_metric("refusal_recall")(records).value == 0.0
    assert make_metric("refusal_recall", objective=objective)(records).value == 1.0
    with pytest.raises(ValueError, match="not a regular expression"):
        Objective(task="answer", refusals=["("])
