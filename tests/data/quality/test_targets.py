from dataclasses import replace

from data_examples import example, labelled
from metier.core.objective import Objective
from metier.core.types import FieldsTarget
from metier.data.quality.targets import poor_targets, repetition
from quality_examples import answered

ANSWER = Objective(task="answer")
GOOD = "Open the lid, take out the filter and rinse it under the tap for a minute."


def faults(*rows, objective=ANSWER):
    plain = [answered(100 + n, f"How do I clean part {n}?", f"{GOOD} Part {n}.") for n in range(40)]
    return {(one.example.id, one.reason) for one in poor_targets([*plain, *rows], objective)}


def test_each_fault_is_found():
    assert faults(
        answered(1, "How long does it take?", ""),
        answered(2, "How long does it take?", "It takes two days, and if you are in a hurry then"),
        answered(3, "How long does it take?", "It takes long. " * 8),
        answered(4, "How long does it take?", "As an AI language model I have no opinion of that."),
        answered(5, "How long will it take to you", "How long will it take to you?"),
        answered(6, "How long?", "Das dauert ein paar Tage, weil wir es erst bestellen müssen."),
        answered(7, "How long?", "I cannot answer that question for you, sorry about it."),
    ) == {
        ("ex_1", "no_answer"),
        ("ex_2", "cut_off"),
        ("ex_3", "repeats"),
        ("ex_4", "refusal"),
        ("ex_5", "echo"),
        ("ex_6", "reply_language"),
        ("ex_7", "refusal"),
    }  # fmt: skip


def test_good_replies_are_left_alone():
    found = faults(
        answered(
            1, "Where is it?", "All of it is described at https://example.org/help/where-it-is"
        ),
        answered(2, "Where is it?", "It is in the box (the small one)"),
        answered(3, "Where is it?", "In the box."),
        answered(4, "Where is it?", "You will find it in the box, “on the left”"),
    )
    assert found == set()


def test_what_is_usual_in_a_task_is_no_fault():
    rows = [answered(n, f"Is it number {n}?", "yes" if n % 2 else "no") for n in range(40)]
    assert poor_targets(rows, ANSWER) == []


def test_a_refusal_that_is_asked_for_is_right():
    row = answered(1, "What will it cost next year?", "I do not know that, sorry to say.")
    marked = replace(row, slices={"unanswerable": "yes"})
    assert faults(row) == {("ex_1", "refusal")}
    assert faults(marked) == set()


def test_text_fields_are_looked_at_one_by_one():
    form = Objective(
        task="structured",
        fields={"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
    )
    rows = [example(n, f"text {n}", FieldsTarget({"a": GOOD, "b": GOOD})) for n in range(20)]
    rows.append(example(99, "text", FieldsTarget({"a": GOOD, "b": ""})))
    (found,) = poor_targets(rows, form)
    assert (found.example.id, found.field, found.reason) == ("ex_99", "b", "no_answer")


def test_labels_have_no_texts():
    assert poor_targets([labelled(1, "text")], Objective(task="classify")) == []


def test_repetition_is_of_phrases_not_of_words():
    assert repetition("the cat and the dog and the bird and the fish and the rest of them") is None
    assert repetition("so it is so it is so it is so it is so it is") is not None
