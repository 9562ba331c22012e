"""Retrieval metrics equal what is worked out by hand."""

from __future__ import annotations

from math import isnan, log2

import pytest

from metier.retrieval.index import build_index
from metier.retrieval.metrics import (
    Judged,
    documents_of,
    ndcg_at,
    recall_at,
    reciprocal_rank,
    retrieval_metrics,
)
from metier.retrieval.types import Document
from metier.scoring.types import Resampling

TWO = Judged("q", {"a", "b"}, ("x", "a", "y", "b"))


def test_by_hand() -> None:
    assert [recall_at(TWO, k) for k in (1, 2, 4)] == [0, 0.5, 1]
    assert reciprocal_rank(TWO) == 0.5
    assert ndcg_at(TWO, 2) == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)))
    assert ndcg_at(TWO, 4) == pytest.approx((1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)))
    assert ndcg_at(Judged("q", {"a"}, ("a",)), 5) == 1


def test_nothing_found_is_zero_and_nothing_to_find_undefined() -> None:
    lost, none = Judged("q", {"a"}, ()), Judged("q", set(), ("a",))
    for grade in (lambda j: recall_at(j, 3), reciprocal_rank, lambda j: ndcg_at(j, 3)):
        assert grade(lost) == 0.0
        assert grade(none) is None


def test_estimates_carry_intervals_and_say_what_was_left_out() -> None:
    judged = [Judged(f"q{i}", {"a"}, ("a",) if i % 2 else ("x", "a")) for i in range(40)]
    judged.append(Judged("none", set(), ("a",)))
    found = retrieval_metrics(judged, 1, Resampling(resamples=200))
    assert list(found) == ["recall@1", "mrr", "ndcg@1"]
    assert found["recall@1"].value == 0.5 and found["mrr"].value == 0.75
    assert found["recall@1"].low < 0.5 < found["recall@1"].high
    assert found["mrr"].n == 40
    assert found["mrr"].warnings[0].startswith("1 of 41 items have no relevant document")


def test_questions_of_one_cluster_count_as_one() -> None:
    judged = [Judged(f"q{i}", {"a"}, ("a",), cluster="one") for i in range(9)]
    estimate = retrieval_metrics(judged, 1)["mrr"]
    assert estimate.clusters == 1 and isnan(estimate.low)


def test_no_questions_are_undefined() -> None:
    estimate = retrieval_metrics([], 5)["recall@5"]
    assert isnan(estimate.value) and "no items" in estimate.warnings[0]


def test_a_document_counts_once() -> None:
    index = build_index([Document("a", "fox one. " * 200), Document("b", "fox")])
    (hits,) = index.search(["fox one"], 5)
    assert [hit.chunk.document for hit in hits].count("a") > 1
    assert documents_of(hits) == ("a", "b") or documents_of(hits) == ("a",)
