"""Small data, versions and settings that the tests of tune share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import DataVersion
from metier.core.types import Conversation, Example, ExampleTarget, LabelTarget, Provenance
from metier.core.workspace import Workspace
from metier.tune.config import TuneConfig

LABELS = ("billing", "delivery", "returns")
WORDS = {"billing": "card payment", "delivery": "parcel late", "returns": "refund please"}
OBJECTIVE = Objective(task="classify", labels=list(LABELS), instruction="Answer the label.")
QUICK: dict[str, Any] = {
    "method": {"type": "lora", "r": 4, "alpha": 8},
    "lr": 1e-2,
    "epochs": 2,
    "batch_tokens": 192,
}


def example(number: int, text: str, target: ExampleTarget | None) -> Example:
    return Example(
        id=Example.make_id("cases", str(number)),
        conversation=Conversation.of(("user", text)),
        target=target,
        provenance=Provenance("cases", "cases", str(number)),
    )


def examples(count: int, start: int = 0) -> list[Example]:
    made = []
    for number in range(start, start + count):
        label = LABELS[number % 3]
        text = f"where is my {WORDS[label]} " + "please " * (number % 5) + str(number)
        made.append(example(number, text, LabelTarget(label)))
    return made


def version(ws: Workspace, splits: Mapping[str, Sequence[Example]] | None = None) -> DataVersion:
    chosen = splits or {"train": examples(24), "validation": examples(6, start=100)}
    return ledger.save_version(ws, chosen, labels=LABELS, config={}, card={}, sources=[])


def settings(**changes: Any) -> TuneConfig:
    return TuneConfig.model_validate(QUICK | changes)
