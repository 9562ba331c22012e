"""Near duplicates across two lists, slips and likeness of meaning, against plain definitions."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.similarity import normalise
from metier.similarity.across import NearLookup, near_across
from metier.similarity.embeddings import make_embedder
from metier.similarity.semantic import LIKES, SemanticLookup, semantic_duplicates
from metier.similarity.shingles import SHINGLE
from metier.similarity.slips import is_slip, one_slip, slips_across

WORDS = st.sampled_from(
    ["parcel", "card", "late", "order", "lost", "refund", "customer", "never", "parcell", "crad"]
)
TEXTS = st.lists(st.lists(WORDS, max_size=7).map(" ".join), max_size=12)


def similarity(one: str, other: str) -> float:
    sets = []
    for text in map(normalise, (one, other)):
        padded = text.ljust(SHINGLE, "\x00")
        sets.append({padded[at : at + SHINGLE] for at in range(len(padded) - SHINGLE + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def plain(left: list[str], right: list[str], threshold: float) -> list[tuple[int, int, float]]:
    found = []
    for j, other in enumerate(right):
        for i, one in enumerate(left):
            equal = normalise(one) == normalise(other)
            value = 1.0 if equal else similarity(one, other)
            if equal or (threshold <= value and threshold < 1):
                found.append((i, j, value))
    return found


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from([0.3, 0.5, 0.8, 0.9, 1.0]))
def test_every_pair_is_found_and_no_other(left, right, threshold):
    expected = plain(left, right, threshold)
    assert near_across(left, right, threshold) == expected
    first = {j: (i, j, value) for i, j, value in reversed(expected)}
    assert near_across(left, right, threshold, first=True) == sorted(
        first.values(), key=lambda match: match[1]
    )


def test_a_lookup_can_be_asked_in_pieces():
    left = [f"my parcel number {n} has not arrived from the warehouse" for n in range(30)]
    right = [text + " yet" for text in left]
    lookup = NearLookup(left, 0.8)
    whole = lookup.find(right)
    pieces = [(i, at + j, s) for at in range(30) for i, j, s in lookup.find(right[at : at + 1])]
    assert whole == pieces
    assert len(whole) >= 30


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_threshold_outside_its_range(threshold):
    with pytest.raises(ValueError, match="threshold must lie in"):
        near_across(["a"], ["b"], threshold)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        *[("order", "oder", True), ("morning", "mroning", True), ("late", "laate", True)],
        *[("teh", "the", True), ("no", "not", False), ("paid", "said", False)],
        *[("same", "same", False), ("e45", "e54", False), ("order", "orders1", False)],
        ("abcd", "badc", False),
    ],
)
def test_what_a_slip_is(one, other, expected):
    assert is_slip(one, other) is is_slip(other, one) is expected


def test_texts_one_slip_apart():
    first = "The toaster has stopped working today"
    alike = [
        *["Resent: the toaster has stopped working today", first + ". Please!"],
        *["the toaster has stopepd working today", "THE toaster, has stopped working today"],
    ]
    others = [
        *[first + " 5", "the blender has stopped working today", "has stopped working today 5"],
        *["the toaster has not stopped working today", "stopped working", first],
    ]
    found = {j for i, j, _ in one_slip([first, *alike, *others]) if i == 0}
    assert found == {1, 2, 3, 4}
    assert [j for _, j, _ in slips_across([first], [*others, *alike])] == [0, 6, 7, 8, 9]
    hidden, open_ = "See my order no. [ORDER_NUMBER], please", "see my oder no. FH-654598, please"
    assert one_slip([hidden, open_]) == []
    assert [pair[:2] for pair in slips_across([hidden], [open_])] == [(0, 0)]
    assert one_slip([]) == slips_across([], ["a"]) == []


def test_meaning_is_compared_with_all_before():
    embedder = make_embedder("hashed")
    given = ["where is my parcel", "a refund please", "where is my parcel now", "", "", "x"]
    vectors = embedder.embed(given)
    found = semantic_duplicates(given, 0.8, embedder)
    assert [pair[:2] for pair in found] == [
        (i, j) for i, j in combinations(range(6), 2) if vectors[i] @ vectors[j] >= 0.8
    ]
    assert SemanticLookup(given[:2], 0.8, embedder).find(given[2:]) == [(0, 0, found[0][2])]


def test_a_crowd_that_means_the_same_stays_cheap():
    found = semantic_duplicates(["where is my parcel"] * (LIKES + 50), 0.9, make_embedder("hashed"))
    assert max(sum(1 for pair in found if pair[1] == j) for j in range(LIKES + 50)) == LIKES
    assert {j for _, j, _ in found} == set(range(1, LIKES + 50))
