"""The share of corrected failures that still fail, with an interval that knows how few they are."""

from __future__ import annotations

import math

import pytest

from evaluate_fakes import CLASSIFY, ROUTING
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, Json
from metier.evaluate.recurrence import recurrence, still_wrong
from metier.scoring import wilson

OPEN = Objective(
    task="structured", fields={"type": "object", "properties": {"reply": {"type": "string"}}}
)


def answered(
    number: int, parsed: Json, expected: Json, side: str = "learned", cluster: str = ""
) -> Prediction:
    completion = Completion(str(parsed))
    return Prediction(
        f"p{number}", f"e{number}", completion, parsed, expected, cluster, {"case": side}
    )


def test_shares_are_told_by_side_with_wilsons_interval() -> None:
    learned = [answered(n, "a" if n else "b", "a") for n in range(10)]
    held = [answered(20 + n, "b", "a", "held_back") for n in range(4)]
    found = recurrence(CLASSIFY, [*learned, *held])
    assert {side: (one.wrong, one.n) for side, one in found.items()} == {
        "learned": (1, 10),
        "held_back": (4, 4),
        "all": (5, 14),
    }
    share = found["learned"].share
    assert (share.low, share.high) == wilson(1, 10)
    assert (share.value, share.n, share.method) == (0.1, 10, "Wilson")


def test_items_of_one_user_count_together() -> None:
    rows = [answered(n, "a" if n < 4 else "b", "a", cluster=f"u{n // 4}") for n in range(8)]
    share = recurrence(CLASSIFY, rows)["all"].share
    assert (share.n, share.clusters) == (8, 2)
    assert share.high - share.low > wilson(4, 8)[1] - wilson(4, 8)[0]


def test_a_share_of_nothing_has_no_value() -> None:
    found = recurrence(CLASSIFY, [])
    assert set(found) == {"learned", "held_back", "all"}
    assert found["all"].n == 0 and math.isnan(found["all"].share.value)
    assert found["all"].share.warnings == ("no such case",)


@pytest.mark.parametrize(
    ("objective", "got", "wanted", "wrong"),
    [
        (CLASSIFY, "a", "a", False),
        (CLASSIFY, None, "a", True),
        (Objective(task="multilabel"), ["b", "a"], ["a", "b"], False),
        (ROUTING, {"route": "billing", "reply": "x"}, {"route": "billing", "reply": "y"}, False),
        (ROUTING, {"route": "delivery", "reply": "y"}, {"route": "billing", "reply": "y"}, True),
        (ROUTING, "no object", {"route": "billing"}, True),
        (OPEN, {"reply": "  Yes, please! "}, {"reply": "yes, please"}, False),
        (OPEN, {"reply": "no"}, {"reply": "yes"}, True),
        (Objective(task="compose"), "Dear  Ann.", "dear ann", False),
        (Objective(task="compose"), "Dear Ann", "Dear Bob", True),
    ],
)
def test_what_counts_as_wrong_follows_the_task(
    objective: Objective, got: Json, wanted: Json, wrong: bool
) -> None:
    assert still_wrong(objective, answered(1, got, wanted)) is wrong


def test_a_reply_that_failed_is_wrong() -> None:
    failed = Prediction("p", "e", Completion("", "error", error="lost"), "a", "a", "", {})
    assert still_wrong(CLASSIFY, failed)
