"""The split: what belongs together stays together, classes keep their share, order is nothing."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.core.errors import InputError
from metier.core.types import Conversation, Example, LabelTarget, Provenance
from metier.data.labels import strata
from metier.data.split import Sizes, quotas, split


def row(number, label="a", group=None, text=None, shipped=None):
    conversation = Conversation.of(("user", text or f"text {number}"))
    where = Provenance("s.csv", "d", str(number))
    return Example(f"ex_{number}", conversation, LabelTarget(label), where, group, shipped)


def divide(rows, test=0.2, validation=0.1, seed=0, ties=()):
    return split(rows, Sizes(test, validation, seed), strata, text_of, ties)


def text_of(one):
    return one.conversation.text


def sizes(splits):
    return {name: len(rows) for name, rows in splits.items()}


def ids(rows):
    return {one.id for one in rows}


def test_counts_are_met_exactly_where_rows_are_free():
    rows = [row(n, "ab"[n % 2]) for n in range(100)]
    assert sizes(divide(rows, 30, 7)) == {"train": 63, "validation": 7, "test": 30}
    assert sizes(divide(rows, 0.2, 0.1)) == {"train": 70, "validation": 10, "test": 20}
    assert sizes(divide(rows, 0, 0)) == {"train": 100, "validation": 0, "test": 0}


def test_labels_keep_their_share():
    rows = [row(n, "common" if n % 10 else "rare") for n in range(200)]
    test = Counter(one.target.label for one in divide(rows, 0.2, 0.1)["test"])
    assert test == {"common": 36, "rare": 4}


def test_a_class_of_three_groups_is_in_test_and_in_train():
    rows = [row(n, "common") for n in range(97)] + [row(n, "rare") for n in range(97, 100)]
    for seed in range(5):
        splits = divide(rows, 10, 5, seed)
        assert "rare" in {one.target.label for one in splits["test"]}
        assert "rare" in {one.target.label for one in splits["train"]}


def test_a_class_of_one_group_stays_in_training():
    rows = [row(n) for n in range(9)] + [row(9, "alone", "g"), row(10, "alone", "g")]
    for seed in range(5):
        splits = divide(rows, 4, 2, seed)
        assert {"ex_9", "ex_10"} <= ids(splits["train"])


def test_rows_of_one_text_and_tied_rows_stay_together():
    rows = [row(n) for n in range(20)] + [row(20, "b", text="text 3"), row(21), row(22)]
    for seed in range(8):
        splits = divide(rows, 0.4, 0.2, seed, ties=[(4, 21), (21, 22)])
        side = {one.id: name for name, found in splits.items() for one in found}
        assert side["ex_3"] == side["ex_20"]
        assert side["ex_4"] == side["ex_21"] == side["ex_22"]


def test_another_seed_is_another_split():
    rows = [row(n) for n in range(50)]
    assert ids(divide(rows, seed=1)["test"]) != ids(divide(rows, seed=2)["test"])


def test_a_group_keeps_its_side_when_it_gains_rows():
    rows = [row(n, group=f"g{n // 2}") for n in range(40)]
    more = [*rows, row(40, group="g3", text="new")]
    before, after = divide(rows, 10, 0), divide(more, 10, 0)
    assert {e.group for e in before["test"]} - {e.group for e in after["test"]} <= {"g3"} | {
        e.group for e in before["test"]
    }
    assert len({e.group for e in before["test"]} & {e.group for e in after["test"]}) >= 4


def test_shipped_splits_are_honoured_and_validation_is_carved_from_training():
    rows = [row(n, shipped="train") for n in range(20)]
    rows += [row(n, shipped="test") for n in range(20, 25)]
    splits = divide(rows, 0.5, 4)
    assert ids(splits["test"]) == {f"ex_{n}" for n in range(20, 25)}
    assert sizes(splits) == {"train": 16, "validation": 4, "test": 5}


def test_shipped_validation_is_honoured_and_test_is_drawn_from_free_rows():
    rows = [row(n) for n in range(20)] + [row(n, shipped="validation") for n in range(20, 23)]
    splits = divide(rows, 5, 9)
    assert ids(splits["validation"]) == {"ex_20", "ex_21", "ex_22"}
    assert sizes(splits) == {"train": 15, "validation": 3, "test": 5}


def test_free_rows_follow_their_groups_shipped_side():
    rows = [row(n) for n in range(10)] + [row(10, group="g"), row(11, group="g", shipped="test")]
    assert {"ex_10", "ex_11"} == ids(divide(rows, 5, 0)["test"])


def test_a_shipped_group_on_two_sides_is_left_for_the_leakage_gate():
    rows = [row(n) for n in range(10)]
    rows += [row(10, group="g", shipped="train"), row(11, group="g", shipped="test")]
    splits = divide(rows, 5, 2)
    assert ids(splits["test"]) == {"ex_11"}
    assert "ex_10" in ids(splits["train"])


def test_too_large_a_test_is_refused_with_the_numbers():
    rows = [row(n) for n in range(5)]
    with pytest.raises(InputError, match="test = 5, and 5 rows that no source has put in a split"):
        divide(rows, 5, 0)
    with pytest.raises(InputError, match="validation = 3, and 3 rows"):
        divide(rows, 2, 3)


def test_training_only_sources_cannot_give_a_test_split():
    rows = [row(n, shipped="train") for n in range(9)]
    with pytest.raises(InputError, match='add a source with split = "test"'):
        divide(rows)


def test_quotas_share_by_largest_remainder_with_one_for_the_rare():
    assert quotas({"a": 90, "b": 10}, {"a": 90, "b": 10}, 10, 100) == {"a": 9, "b": 1}
    assert quotas({"a": 97, "b": 3}, {"a": 97, "b": 3}, 10, 100) == {"a": 9, "b": 1}
    assert quotas({"a": 98, "b": 2}, {"a": 98, "b": 2}, 10, 100) == {"a": 10, "b": 0}
    assert (
        quotas({"a": 5, "b": 5, "c": 5}, dict.fromkeys("abc", 5), 5, 15)
        == dict(zip("abc", (2, 2, 1), strict=True))
        or sum(quotas({"a": 5, "b": 5, "c": 5}, dict.fromkeys("abc", 5), 5, 15).values()) == 5
    )


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "", "g1", "g2", "g3", "g4"])),
    min_size=12,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 3), st.randoms())
def test_no_group_is_separated_nothing_is_lost_and_order_is_nothing(spec, seed, random: Random):
    rows = [row(n, label, group or None) for n, (label, group) in enumerate(spec)]
    splits = divide(rows, 0.2, 0.1, seed)
    assert sum(sizes(splits).values()) == len(rows)
    assert len(ids(rows)) == len(set().union(*(ids(found) for found in splits.values())))
    groups = [{e.group for e in found if e.group} for found in splits.values()]
    assert sum(len(found) for found in groups) == len(set().union(*groups))
    shuffled = list(rows)
    random.shuffle(shuffled)
    again = divide(shuffled, 0.2, 0.1, seed)
    assert {n: ids(found) for n, found in again.items()} == {
        n: ids(found) for n, found in splits.items()
    }


def dated(number, when, group=None):
    made = row(number, "ab"[number % 2], group)
    return replace(made, slices={"received": when} if when else {})


def sides_by_time(rows, test, validation=0):
    return split(rows, Sizes(test, validation, 0, "received"), strata, text_of)


def test_the_newest_rows_are_measured():
    rows = [dated(n, f"2026-01-{n + 1:02d}") for n in range(20)]
    found = sides_by_time(rows, 4, 2)
    assert {row.slices["received"] for row in found["test"]} == {
        f"2026-01-{day}" for day in (17, 18, 19, 20)
    }
    assert {row.slices["received"] for row in found["validation"]} == {"2026-01-15", "2026-01-16"}


def test_a_group_is_as_new_as_its_newest_row():
    rows = [dated(n, f"2026-01-{n + 1:02d}") for n in range(10)]
    rows = [replace(rows[0], group="g"), *rows[1:9], replace(rows[9], group="g")]
    found = sides_by_time(rows, 2, 0)
    assert {row.id for row in found["test"]} == {rows[0].id, rows[9].id}


def test_numbers_are_times_too_and_what_has_none_is_old():
    rows = [dated(n, str(n * 10)) for n in range(9)] + [dated(9, "")]
    found = sides_by_time(rows, 3, 0)
    assert sorted(row.slices["received"] for row in found["test"]) == ["60", "70", "80"]


def test_times_that_cannot_be_read_are_refused():
    with pytest.raises(InputError, match="ISO 8601"):
        sides_by_time([dated(1, "2026-01-01"), dated(2, "yesterday")], 1, 0)
    with pytest.raises(InputError, match="none"):
        sides_by_time([dated(n, "") for n in range(3)], 1, 0)
