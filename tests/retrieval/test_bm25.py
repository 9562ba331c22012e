"""BM25 equals its formula, worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from metier.retrieval.bm25 import Bm25, terms

# Three texts of 2, 4 and 3 terms: the mean length is 3. k1 = 1.2, b = 0.75.
#   A "red fox"             B "red fox red hen"        C "blue blue whale"
# length factor 1.2 * (0.25 + 0.75 * |d| / 3):   A 0.9   B 1.5   C 1.2
# idf(t) = ln(1 + (3 - df + 0.5) / (df + 0.5)):
#   red, fox (df 2): ln(1 + 1.5/2.5) = ln 1.6      hen, blue, whale (df 1): ln(1 + 2.5/1.5)
TEXTS = ["red fox", "Red fox RED hen", "blue blue whale"]
COMMON, RARE = log(1.6), log(1 + 2.5 / 1.5)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("red", [COMMON * 1 / (1 + 0.9), COMMON * 2 / (2 + 1.5), 0]),
        ("hen", [0, RARE * 1 / (1 + 1.5), 0]),
        ("blue", [0, 0, RARE * 2 / (2 + 1.2)]),
        ("red hen", [COMMON / 1.9, COMMON * 2 / 3.5 + RARE / 2.5, 0]),
        ("red red", [2 * COMMON / 1.9, 2 * COMMON * 2 / 3.5, 0]),
        ("red zebra", [COMMON / 1.9, COMMON * 2 / 3.5, 0]),
        ("zebra", [0, 0, 0]),
        ("", [0, 0, 0]),
    ],
)
def test_scores_are_those_of_the_formula(query: str, expected: list[float]) -> None:
    np.testing.assert_allclose(Bm25.build(TEXTS).scores(query), expected, rtol=1e-6)


def test_k1_and_b_count() -> None:
    # b = 0: length does not matter; k1 = 2: tf / (tf + 2)
    found = Bm25.build(TEXTS, k1=2.0, b=0.0).scores("red")
    np.testing.assert_allclose(found, [COMMON / 3, COMMON * 2 / 4, 0], rtol=1e-6)


def test_terms_are_folded_and_ideographs_stand_alone() -> None:
    found = terms("Straße, ＡＢＣ-12 don't 北京。")
    assert found == ["strasse", "abc", "12", "don", "t", "北", "京"]
    assert terms("... !!") == []


def test_texts_without_a_word_are_never_found() -> None:
    assert Bm25.build(["", "?!"]).scores("word").tolist() == [0, 0]
    assert Bm25.build([]).scores("word").tolist() == []
    assert Bm25.build(["", "word"]).scores("word")[1] > 0
