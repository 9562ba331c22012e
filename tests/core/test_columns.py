"""Columns: what is kept of every row; the version hash made of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.columns import Hashes, Marks
from metier.core.types import digest, hash_members


@given(st.lists(st.text(max_size=3)))
def test_firsts_name_the_first_of_equal_strings(texts):
    marks = Marks(texts)
    assert len(marks) == len(texts)
    assert marks.firsts().tolist() == [texts.index(text) for text in texts]
    seen = [at for at, text in enumerate(texts) if texts.index(text) != at]
    assert marks.repeats().tolist() == seen


def test_lone_surrogates_have_marks_too():
    assert Marks(["\ud800", "a", "\ud800"]).repeats().tolist() == [2]


SPLITS = st.dictionaries(
    st.sampled_from(["train", "validation", "test", "regression", "challenge"]),
    st.lists(st.integers(0, 2**128 - 1).map(lambda n: f"{n:032x}")),
)


@given(SPLITS, st.lists(st.text(max_size=4)))
def test_the_hash_of_members_is_the_digest_of_the_sorted_list(splits, labels):
    columns = {}
    for split, found in splits.items():
        columns[split] = Hashes()
        for one in found:
            columns[split].add(one)
    members = sorted(f"{split}:{one}" for split, found in splits.items() for one in found)
    assert hash_members(columns, labels) == digest([members, labels] if labels else members)


def test_hashes_are_read_back_and_checked():
    hashes = Hashes()
    hashes.add("ff" * 16)
    hashes.add("00" * 15 + "01")
    assert (hashes[0], hashes[1], len(hashes)) == ("ff" * 16, "00" * 15 + "01", 2)
    assert list(hashes.ordered()) == ["00" * 15 + "01", "ff" * 16]
    with pytest.raises(ValueError, match="32 hex digits"):
        hashes.add("abcd")


def test_no_rows_have_no_firsts():
    assert Marks().firsts().dtype == np.int64
    assert Marks().repeats().tolist() == []
