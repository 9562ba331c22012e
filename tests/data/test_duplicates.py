"""Duplicates: which row stays, which goes and why, and what is only suspect."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_examples import example, labelled, replied
from metier.core.steps import Drop, Keep, Suspect
from metier.core.types import Conversation, FieldsTarget, Image, Message, Text
from metier.data.duplicates import ExactDuplicates, NearDuplicates, prompt_key, target_key

LONG = "my parcel has not arrived although it was sent two weeks ago from the warehouse in town"


def outcomes(step, rows):
    state = step.fit(rows)
    return {one.example.id: one for one in step.apply(rows, state)}


def reasons(step, rows):
    return {
        key: getattr(one, "reason", "kept") for key, one in sorted(outcomes(step, rows).items())
    }


def test_of_equal_rows_one_stays_and_the_other_says_which():
    rows = [labelled(1, "Where is it?"), labelled(2, "where  IS it"), labelled(3, "else")]
    found = outcomes(ExactDuplicates(), rows)
    # The longer prompt stays: it holds what the other one lost.
    assert isinstance(found["ex_2"], Keep) != isinstance(found["ex_1"], Keep)
    dropped = found["ex_1"] if isinstance(found["ex_1"], Drop) else found["ex_2"]
    kept = "ex_2" if dropped.example.id == "ex_1" else "ex_1"
    assert (dropped.reason, dropped.evidence) == ("exact_duplicate", {"kept": kept})
    assert isinstance(found["ex_3"], Keep)


def test_one_prompt_with_two_targets_is_a_contradiction_and_stays():
    rows = [labelled(1, "same", "a"), labelled(2, "same", "b"), labelled(3, "same", "b")]
    found = outcomes(ExactDuplicates(), rows)
    suspects = [one for one in found.values() if isinstance(one, Suspect)]
    assert [one.reason for one in suspects] == ["contradiction", "contradiction"]
    assert {one.example.target.label for one in suspects} == {"a", "b"}
    (dropped,) = [one for one in found.values() if isinstance(one, Drop)]
    assert dropped.reason == "exact_duplicate"
    others = {one.example.id: one.evidence["same_prompt_as"] for one in suspects}
    assert all(others[b] == [a] for a, b in [sorted(others), sorted(others)[::-1]])


def test_replies_that_differ_in_case_are_the_same_target():
    rows = [replied(1, "q", "Yes, it is."), replied(2, "q", "yes, it is")]
    assert sorted(reasons(ExactDuplicates(), rows).values()) == ["exact_duplicate", "kept"]


@pytest.mark.parametrize("shipped", ["test", "validation"])
def test_the_measured_row_stays_and_training_gives_way_whatever_its_target(shipped):
    rows = [
        labelled(1, "same text", "a", split="train"),
        labelled(2, "same text", "b", split="train"),
        labelled(3, "same text", "a", split=shipped),
        labelled(4, "same text", "c"),
    ]
    assert reasons(ExactDuplicates(), rows) == {
        "ex_1": f"duplicate_of_{shipped}",
        "ex_2": f"contradicts_{shipped}",
        "ex_3": "kept",
        "ex_4": f"contradicts_{shipped}",
    }


def test_near_duplicates_of_one_target_merge_and_say_how_alike():
    rows = [labelled(1, LONG), labelled(2, LONG + " x"), labelled(3, "something else entirely")]
    found = outcomes(NearDuplicates(0.9), rows)
    assert isinstance(found["ex_2"], Keep)  # the longer one
    assert found["ex_1"].reason == "near_duplicate"
    assert found["ex_1"].evidence["kept"] == "ex_2"
    assert 0.9 <= found["ex_1"].evidence["similarity"] < 1


def test_near_duplicates_of_two_targets_stay_and_are_tied():
    rows = [labelled(1, LONG, "a"), labelled(2, LONG + " x", "b")]
    state = NearDuplicates(0.9).fit(rows)
    assert state["drop"] == {}
    assert state["ties"] == [["ex_2", "ex_1"]]


def test_near_duplicates_of_a_test_row_leave_training():
    rows = [labelled(1, LONG, "a", split="test"), labelled(2, LONG + " x", "b", split="train")]
    assert reasons(NearDuplicates(0.9), rows) == {"ex_1": "kept", "ex_2": "near_duplicate_of_test"}


def test_a_chain_of_near_duplicates_keeps_what_is_not_like_a_kept_row():
    texts = [LONG, LONG + " and", LONG + " and then"]
    rows = [labelled(n, text) for n, text in enumerate(texts)]
    kept = [key for key, why in reasons(NearDuplicates(0.94), rows).items() if why == "kept"]
    assert "ex_2" in kept


def test_images_tell_prompts_apart():
    def seen(number, artifact):
        parts = (Text("what is this?"), Image(artifact))
        row = labelled(number, "")
        return row.changed("x", conversation=Conversation((Message("user", parts),)))

    assert prompt_key(seen(1, "one")) != prompt_key(seen(2, "two"))
    assert prompt_key(seen(1, "one")) == prompt_key(seen(3, "one"))


def test_field_targets_compare_by_field():
    one, same = FieldsTarget({"route": "A", "n": 1}), FieldsTarget({"n": 1, "route": "a "})
    assert target_key(example(1, "q", one)) == target_key(example(2, "q", same))
    assert target_key(example(1, "q", one)) != target_key(
        example(3, "q", FieldsTarget({"route": "A", "n": 2}))
    )


TEXTS = st.sampled_from(["hello there", "Hello there!", LONG, LONG + " x", LONG + " yz", "other"])
ROWS = st.lists(
    st.tuples(TEXTS, st.sampled_from("ab"), st.sampled_from([None, "train", "test"])), max_size=12
)


@given(ROWS, st.randoms())
def test_what_stays_does_not_depend_on_the_order_of_rows(spec, random: Random):
    rows = [labelled(n, text, label, split=split) for n, (text, label, split) in enumerate(spec)]
    shuffled = random.sample(rows, len(rows))
    for step in (ExactDuplicates(), NearDuplicates(0.9)):
        assert reasons(step, rows) == reasons(step, shuffled)
