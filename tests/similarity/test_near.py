"""Near duplicates against the plain definition."""

from itertools import combinations
from random import Random

import pytest

from metier.similarity import near_duplicates, normalise
from metier.similarity.near import CROWD, MISS, PERMUTATIONS, bands_for
from metier.similarity.shingles import SHINGLE, jaccard, shingle_hashes

TEXT = "parcel card late order lost refund customer never came back twice please help me now"
WORDS = TEXT.split()


def shingles(text: str) -> set[str]:
    padded = normalise(text).ljust(SHINGLE, "\x00")
    return {padded[i : i + SHINGLE] for i in range(len(padded) - SHINGLE + 1)}


def similarity(a: str, b: str) -> float:
    return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))


def texts(count: int, seed: int = 0) -> list[str]:
    """Random sentences, and for each third one a copy with a small change."""
    random = Random(seed)
    made = [" ".join(random.choices(WORDS, k=14)) for _ in range(count)]
    made += [text.replace("a", "e", 1) + random.choice(["", " ok", "!"]) for text in made[::3]]
    return made


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_pairs_and_similarities_are_those_of_the_definition(threshold: float) -> None:
    given = texts(80)
    expected = {
        (i, j): similarity(given[i], given[j])
        for i, j in combinations(range(len(given)), 2)
        if similarity(given[i], given[j]) >= threshold
    }
    found = near_duplicates(given, threshold)
    assert found == sorted(found)
    assert {pair[:2] for pair in found} <= set(expected), "no false pair"
    assert all(value == pytest.approx(expected[i, j]) for i, j, value in found)
    assert len(found) >= 0.97 * len(expected)
    assert expected, "the test compares something"


def test_it_is_deterministic() -> None:
    assert near_duplicates(texts(200), 0.6) == near_duplicates(texts(200), 0.6)


def test_equal_texts_pair_with_the_first_only() -> None:
    found = near_duplicates(
        ["Same text here.", "other words entirely", "same  text here", "SAME text here!"]
    )
    assert found == [(0, 2, 1.0), (0, 3, 1.0)]


@pytest.mark.parametrize("given", [[], ["one"], ["", ""], ["", "a"], ["ab", "ac"], ["é", "😀"]])
def test_few_and_short_texts(given: list[str]) -> None:
    expected = [(0, 1, 1.0)] if given == ["", ""] else []
    assert near_duplicates(given, 0.9) == expected


def test_a_crowd_of_look_alikes_stays_cheap_and_connected() -> None:
    crowd = [
        f"Your parcel with the long description of it has arrived, number {n:04}"
        for n in range(1500)
    ]
    found = near_duplicates(crowd, 0.8)
    assert {j for _, j, _ in found} == set(range(1, 1500)), "each has an earlier one it is like"
    assert len(found) <= 1500 * CROWD, "far below the 1.1 million pairs there are"


def test_shingles_are_counted_per_text() -> None:
    hashes = shingle_hashes(["abcdef", "abc", "bcdefg"])
    assert [len(part) for part in hashes] == [2, 1, 2]
    assert hashes[0][1] == hashes[2][0], "equal shingles have equal hashes wherever they are"


def test_jaccard() -> None:
    import numpy as np

    a, b = np.array([1, 2, 3], dtype=np.uint64), np.array([2, 3, 4], dtype=np.uint64)
    assert jaccard(a, b) == 0.5
    assert jaccard(a, a) == 1.0
    assert jaccard(a, a[:0]) == 0.0


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9, 0.99])
def test_rows_per_band_keep_the_promise(threshold: float) -> None:
    rows = bands_for(threshold)
    assert (1 - threshold**rows) ** (PERMUTATIONS // rows) <= MISS
    larger = rows + 1
    assert (1 - threshold**larger) ** (PERMUTATIONS // larger) > MISS or larger > PERMUTATIONS


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1])
def test_a_threshold_outside_its_range(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must lie in"):
        near_duplicates(["a", "b"], threshold)
