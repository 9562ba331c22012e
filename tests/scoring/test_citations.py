"""Citations are read as written, and must name a source that was shown."""

from __future__ import annotations

import pytest

from metier.core.types import Score
from metier.scoring import make_metric
from metier.scoring.truth.citations import citations, unknown_citations, without_citations


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Five days [2], or seven [1, 3].", (2, 1, 3)),
        ("[1][1] and [2; 1]", (1, 2)),
        ("", ()),
        ("a[i], [x], [1234], [ 1 ]", ()),
        ("日本語です[1]。", (1,)),
    ],
)
def test_numbers_in_order_of_first_mention(text: str, cited: tuple[int, ...]) -> None:
    assert citations(text) == cited


def test_citations_are_taken_out() -> None:
    assert without_citations("Five days [2], or seven [1, 3].") == "Five days, or seven."
    assert without_citations("list[0]\n[1] x") == "list\n x"


def test_a_source_that_was_not_shown_is_unknown() -> None:
    assert unknown_citations("[1] [3] [0]", 2) == (3, 0)


def record(name: str, raw: str, sources: int, error: str = "") -> Score:
    detail = {"raw": raw, "sources": [f"s{i}" for i in range(sources)]}
    return Score(name, None, detail={"raw": "", "error": error} if error else detail)


def test_replies_with_sources_must_cite_them() -> None:
    records = [
        record("a", "Yes [1].", 2),
        record("b", "Yes.", 2),
        record("c", "Yes [3].", 2),
        record("d", "", 0, error="broke"),
        record("e", "The documents do not say.", 0),
    ]
    found = make_metric("citation_valid")(records)
    assert (found.value, found.n) == (0.25, 4)
    assert found.warnings[0] == "1 of 5 items were shown no sources and were left out"


def test_failures_of_a_model_without_sources_are_not_its_business() -> None:
    found = make_metric("citation_valid")([record("d", "", 0, error="broke")])
    assert found.n == 0
