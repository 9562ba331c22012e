"""The leakage gate: what counts as a leak, what is shown, who gives way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_examples import labelled
from metier.core.errors import InputError
from metier.data.leakage import Gate, Side, find_leaks, refuse

LONG = "my parcel has not arrived although it was sent two weeks ago from the warehouse in town"


def test_clean_splits_pass():
    splits = {
        "train": [labelled(1, "one thing", group="g1"), labelled(2, "one more", group="g1")],
        "validation": [],
        "test": [labelled(3, "quite another", group="g2"), labelled(4, "and one more still")],
    }
    assert find_leaks(splits, 0.9) == []
    refuse([])


def test_the_same_text_leaks_and_training_yields():
    train, test = labelled(1, "Same text!"), labelled(2, "same  text")
    (leak,) = find_leaks({"train": [train], "test": [test]}, 0.9)
    assert (leak.kind, leak.similarity) == ("exact", 1.0)
    assert (leak.taints, leak.yields, leak.sides) == (test, train, ("test", "train"))


def test_nearly_the_same_text_leaks_across_sides_only():
    rows = [labelled(1, LONG), labelled(2, LONG + " x"), labelled(3, LONG + " yy")]
    leaks = find_leaks({"train": rows[:2], "validation": rows[2:]}, 0.9)
    assert {(leak.kind, leak.yields.id, leak.sides) for leak in leaks} == {
        ("near", "ex_1", ("validation", "train")),
        ("near", "ex_2", ("validation", "train")),
    }
    assert find_leaks({"train": rows, "validation": []}, 0.9) == []
    assert find_leaks({"train": rows[:2], "validation": rows[2:]}, 1.0) == []


def test_a_group_on_two_sides_leaks():
    splits = {"train": [labelled(1, "x", group="g")], "test": [labelled(2, "y", group="g")]}
    (leak,) = find_leaks(splits, 0.9)
    assert (leak.kind, leak.yields.id, leak.similarity) == ("group", "ex_1", None)


def test_validation_yields_to_test():
    splits = {"validation": [labelled(1, "same")], "test": [labelled(2, "same")]}
    (leak,) = find_leaks(splits, 0.9)
    assert (leak.yields.id, leak.sides) == ("ex_1", ("test", "validation"))


def test_the_refusal_shows_pairs_by_id_and_place_but_no_text():
    train = [labelled(n, f"secret {n}") for n in range(7)]
    test = [labelled(10 + n, f"secret {n}") for n in range(7)]
    with pytest.raises(InputError) as refused:
        refuse(find_leaks({"train": train, "test": test}, 0.9))
    message = str(refused.value)
    assert "7 rows that leak (7 by the same text)" in message
    assert "test ex_10 (rows.csv:10) and train ex_0 (rows.csv:0)" in message
    assert "and 2 more" in message
    assert 'leakage = "quarantine"' in message
    assert "secret" not in message


WORDS = st.sampled_from(["parcel", "late", "order", "refund", "never", "customer", "again"])
PROMPTS = st.lists(WORDS, min_size=6, max_size=14).map(" ".join)
PLANTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["exact", "near", "group"])))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(PROMPTS, min_size=4, max_size=4, unique=True),
    st.lists(PROMPTS, max_size=8),
    PLANTS,
    st.sampled_from(["test", "challenge", "earlier"]),
    st.randoms(),
)
def test_every_planted_leak_is_found_whatever_the_order(measured, clean, plants, where, random):
    test = [labelled(n, text, group=f"g{n}") for n, text in enumerate(measured)]
    rows = [labelled(100 + n, text) for n, text in enumerate(clean)]
    for n, (of, kind) in enumerate(plants):
        text = {"exact": measured[of].upper(), "near": measured[of], "group": f"{n} other words"}
        twin = text[kind] + (" x" if kind == "near" and len(measured[of]) >= 30 else "")
        rows.append(labelled(200 + n, twin, group=f"g{of}" if kind == "group" else None))
    random.shuffle(rows)
    before = [Side("test", test, "ver_1")] if where == "earlier" else []
    splits = {"train": rows} | ({} if before else {where: test})
    found = {leak.yields.id for leak in find_leaks(splits, Gate(0.9, before=before))}
    assert {f"ex_{200 + n}" for n in range(len(plants))} <= found
    alike = {row.id for row in rows if row.group in {one.group for one in test}}
    assert found >= alike
