"""Panels of made replies, on both databases."""

from __future__ import annotations

import pytest

from metier.core import ledger
from metier.core.records import DataVersion
from metier.core.types import Conversation, Example, LabelTarget, Provenance
from metier.core.workspace import Workspace
from metier.people import Person
from metier.review.config import RubricDimension, usual_dimensions
from metier.review.panel import Candidate, Case, Panel

ANNA = Person("anna", "Anna", "reviewer")
BEN = Person("ben", "Ben", "reviewer")
GUEST = Person("guest-1", "Guest", "guest", queue="spring")
ANCHORS = ("no", "hardly", "partly", "mostly", "yes")


def dimension(name: str, *rated_by: str) -> RubricDimension:
    return RubricDimension(
        name=name, about="Is it?", rated_by=rated_by or ("anyone",), anchors=ANCHORS
    )


def panel(**more: object) -> Panel:
    made: dict[str, object] = {
        "mode": "rate",
        "candidates": (
            Candidate("c1", "challenger", "eval_a", "tuned", "run_a", "challenger"),
            Candidate("c2", "baseline", "eval_b", "keyword", None, "baseline"),
        ),
        "dimensions": (dimension("accuracy"), dimension("tone")),
        "repeats": 0.0,
    }
    return Panel(**made | more)  # type: ignore[arg-type]


def cases(count: int = 6) -> list[Case]:
    return [
        Case(
            f"ex_{number}",
            ({"role": "user", "text": f"Question {number}"},),
            {"c1": f"Good reply {number}", "c2": f"Poor reply {number}"},
            ({"title": "Case", "text": "since: 2019"},),
        )
        for number in range(count)
    ]


def version(ws: Workspace, profile: str = "safe-harbor", count: int = 6) -> DataVersion:
    rows = [
        Example(
            f"ex_{number}",
            Conversation.of(("user", f"Question {number}")),
            LabelTarget("yes"),
            Provenance("made", "digest", str(number)),
            group=f"customer {number // 2}",
        )
        for number in range(count)
    ]
    source = ledger.record_source(ws, "made.csv", "digest", count)
    config = {"deidentify": {"profile": profile}}
    return ledger.save_version(
        ws, {"test": rows}, labels=["yes", "no"], config=config, card={}, sources=[source]
    )


@pytest.fixture
def rubric() -> tuple[RubricDimension, ...]:
    return usual_dimensions()
