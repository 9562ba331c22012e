"""Five runs with a known story, for the diagnostics: each seed draws other words, rows and order.

A message names a thing of one of four kinds among filler words; the label is the kind. The made-up
words mean nothing to any model beforehand, so all there is to know is in the rows.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from cases import example

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import DataVersion
from metier.core.types import Example, LabelTarget
from metier.core.workspace import Workspace

Story = Literal["tiny_data", "huge_rate", "tiny_rate", "shuffled_labels", "healthy"]
EXPECTED: Mapping[Story, str] = {
    "tiny_data": "data_too_small",
    "huge_rate": "lr_too_high",
    "tiny_rate": "lr_too_low",
    "shuffled_labels": "labels_unrelated",
    "healthy": "healthy",
}
KINDS = ("billing", "delivery", "returns", "other")
OBJECTIVE = Objective(task="classify", labels=list(KINDS), instruction="Answer the label.")
WORDS = "the my a please with about is it was have some that this still again there"
SOUNDS = "ba ce di fo gu ha ji ke lo mu na pi re so tu va we xi yo zu"
FILLERS, SYLLABLES = WORDS.split(), SOUNDS.split()


def splits(story: Story, seed: int, rows: int, words: int) -> dict[str, list[Example]]:
    """Rows of a story: ``rows`` to train on (``tiny_data``: 12), 100 held out. Shuffled labels are
    half as many rows, seen more often: only a model that learned its rows by heart, and nothing
    else, shows that there was nothing else to learn."""
    draw = random.Random(f"{story}:{seed}")
    names = draw.sample([a + b for a in SYLLABLES for b in SYLLABLES if a != b], 4 * words)
    kinds = {name: KINDS[at % 4] for at, name in enumerate(names)}
    count = {"tiny_data": 12, "shuffled_labels": rows // 2}.get(story, rows)
    train = [_row(draw, number, kinds) for number in range(count)]
    held_out = [_row(draw, 100_000 + number, kinds) for number in range(100)]
    if story == "shuffled_labels":
        train, held_out = _shuffled(draw, train), _shuffled(draw, held_out)
    return {"train": train, "validation": held_out}


def version(ws: Workspace, story: Story, seed: int, rows: int, words: int) -> DataVersion:
    return ledger.save_version(
        ws, splits(story, seed, rows, words), labels=KINDS, config={}, card={}, sources=[]
    )


def changes(story: Story, lr: float, epochs: int) -> dict[str, Any]:
    """What the story changes in [tune], where ``lr`` and ``epochs`` are good ones."""
    return {
        "tiny_data": {"lr": lr, "epochs": 40},
        "huge_rate": {"lr": min(0.99, lr * 300)},
        "tiny_rate": {"lr": lr / 3000},
        "shuffled_labels": {"lr": lr, "epochs": 3 * epochs},
        "healthy": {"lr": lr},
    }[story]


def _row(draw: random.Random, number: int, kinds: Mapping[str, str]) -> Example:
    name = draw.choice(sorted(kinds))
    words = draw.choices(FILLERS, k=draw.randint(4, 9))
    words.insert(draw.randint(0, len(words)), name)
    return example(number, " ".join(words), LabelTarget(kinds[name]))


def _shuffled(draw: random.Random, rows: list[Example]) -> list[Example]:
    labels = [row.target for row in rows]
    draw.shuffle(labels)
    return [replace(row, target=label) for row, label in zip(rows, labels, strict=True)]
