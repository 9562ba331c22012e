"""Tiny examples, and one messy file, for the tests of the data stage."""

import csv
from pathlib import Path

from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    LabelTarget,
    Provenance,
)
from metier.data.config import DataConfig

CLASSIFY = Objective(task="classify")
NOUNS = ["parcel", "invoice", "card", "transfer", "refund", "letter", "password", "contract"]
VERBS = ["is late", "got lost", "looks wrong", "came twice", "never came", "was opened"]
GOOD = [
    (f"The {noun} that {name} sent me {verb}, please help", label, name)
    for number, (noun, verb) in enumerate((n, v) for n in NOUNS for v in VERBS)
    for label in [("delivery", "money")[number % 2]]
    for name in [f"customer {number // 2}"]
]
MESSY = [
    ("The cafÃ© &amp; bar   charged me twice", "money", "m1"),
    ("Mail me at ann.lee@example.org about the missing box", "delivery", "m2"),
    ("   ", "money", "m3"),
    ("The parcel that customer 0 sent me is late, PLEASE help!", "delivery", "customer 0"),
    ("Where is my order, it is a present and needs to be here on Friday", "delivery", "m4"),
    ("Where is my order, it is a present and needs to be here on Friday", "money", "m5"),
    ("Please explain this fee to me", "mony", "m6"),
]


def write(folder: Path, rows, name="rows.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "customer"])
        writer.writerows(rows)
    return folder


def settings_of(name="rows.csv", **changes):
    source = {"path": name, "prompt": "text", "target": "label", "group": "customer"}
    return DataConfig(**{"sources": [source], **changes})


def labelled(
    number: int,
    text: str,
    label: str = "a",
    *,
    group: str | None = None,
    split: str | None = None,
) -> Example:
    return example(number, text, LabelTarget(label), group=group, split=split)


def replied(number: int, text: str, reply: str, *, split: str | None = None) -> Example:
    return example(number, text, CompletionTarget(reply), split=split)


def example(
    number: int,
    text: str,
    target: ExampleTarget | None,
    *,
    group: str | None = None,
    split: str | None = None,
) -> Example:
    return Example(
        id=f"ex_{number}",
        conversation=Conversation.of(("user", text)),
        target=target,
        provenance=Provenance("rows.csv", "d", str(number)),
        group=group,
        split=split,
    )
