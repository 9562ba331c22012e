"""Tiny records for the tests of the ledger and of lineage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from metier.core import ledger
from metier.core.ids import new_id
from metier.core.records import DataVersion, EvaluationReport, Prediction
from metier.core.types import (
    Completion,
    Conversation,
    Estimate,
    Example,
    LabelTarget,
    Provenance,
)
from metier.core.workspace import Workspace


def example(n: int, group: str | None = None) -> Example:
    return Example(
        id=Example.make_id("d1", str(n)),
        conversation=Conversation.of(("user", f"question {n}")),
        target=LabelTarget("a" if n % 2 else "b"),
        provenance=Provenance("in.csv", "d1", str(n)),
        group=group,
    )


def save(ws: Workspace, splits: dict[str, list[Example]]) -> DataVersion:
    source = ledger.record_source(ws, "in.csv", "d1", 10)
    return ledger.save_version(
        ws, splits, labels=["a", "b"], config={"seed": 0}, card={"rows": 3}, sources=[source]
    )


def report(version_id: str, **changes: Any) -> EvaluationReport:
    values: dict[str, Any] = dict(
        id=new_id("eval"),
        created_at=datetime.now(UTC),
        version_id=version_id,
        split="test",
        rung="keyword",
        completer="keyword",
        fingerprint="f1",
        run_id=None,
        n=1,
        metrics={"accuracy": Estimate(1.0, float("nan"), float("nan"), 1, 1)},
        per_class={},
        confusion={},
        settings={},
        usd_per_1000=0.1,
        predictions="",
    )
    return EvaluationReport(**values | changes)


def prediction(one: Example) -> Prediction:
    return Prediction(new_id("pred"), one.id, Completion("a"), "a", "a", one.id)
