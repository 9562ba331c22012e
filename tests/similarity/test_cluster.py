"""Texts are grouped by the words they share, and groups are told apart by their terms."""

from __future__ import annotations

from math import log, sqrt

import pytest

from metier.similarity.cluster import cluster_texts
from metier.similarity.terms import distinguishing, terms_of, words_of

PARCELS = [f"where is parcel {n} of my order" for n in range(12)]
INVOICES = [f"the invoice {n} has a wrong amount" for n in range(100, 108)]
LOGINS = [f"cannot log in with password {n}" for n in range(200, 206)]


def test_texts_that_share_words_fall_together_the_largest_first() -> None:
    texts = [*LOGINS, *PARCELS, *INVOICES]
    found = cluster_texts(texts)
    assert found == [list(range(6, 18)), list(range(18, 26)), list(range(6))]


def test_the_same_texts_always_give_the_same_clusters() -> None:
    texts = [*PARCELS, *INVOICES, *LOGINS]
    assert cluster_texts(texts) == cluster_texts(list(texts))


@pytest.mark.parametrize("texts", [[], ["one"], ["a", "b", "c"]])
def test_too_few_texts_make_no_cluster(texts: list[str]) -> None:
    assert cluster_texts(texts) == []


def test_texts_without_a_word_are_one_cluster() -> None:
    assert cluster_texts(["", "…", "!!", "??", "", "--"] * 3) == [list(range(18))]
    assert cluster_texts(["", "…", "!!", "??", "--"]) == [list(range(5))]


def test_terms_are_phrases_that_start_and_end_with_a_content_word() -> None:
    assert terms_of("The invoice for parcel 12") == {
        "invoice",
        "parcel",
        "invoice for parcel",
        "parcel 12",
    }


def test_a_placeholder_is_one_word_and_case_does_not_count() -> None:
    assert words_of("Call [PHONE NUMBER] for STRASSE or Straße") == [
        "call",
        "[PHONE NUMBER]",
        "for",
        "strasse",
        "or",
        "strasse",
    ]


def test_log_odds_against_a_worked_example() -> None:
    inside, outside = [{"late"}] * 3 + [set()], [{"late"}] * 1 + [set()] * 5
    found = distinguishing(inside, outside, least=1)[0]
    share = 4.5 / 11
    here, there = 3 + 10 * share, 1 + 10 * share
    odds = log(here / (14 - here)) - log(there / (16 - there))
    error = sqrt(1 / here + 1 / there + 1 / (14 - here) + 1 / (16 - there))
    assert (found.term, found.inside, found.outside) == ("late", 3, 1)
    assert found.log_odds == pytest.approx(odds)
    assert found.z == pytest.approx(odds / error)


def test_a_phrase_stands_for_its_words() -> None:
    inside = [terms_of("wrong invoice amount") for _ in range(6)]
    outside = [terms_of("where is it")] * 6
    assert [one.term for one in distinguishing(inside, outside)] == ["wrong invoice amount"]


def test_a_rare_term_is_left_out() -> None:
    inside = [{"common"}, {"common"}, {"common", "rare"}]
    assert [one.term for one in distinguishing(inside, [set()])] == ["common"]
