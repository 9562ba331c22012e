"""Pairs of replies, versions and settings that the tests of preference tuning share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from cases import example, settings

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import DataVersion
from metier.core.types import Example, PreferenceTarget
from metier.core.workspace import Workspace
from metier.tune.algorithms.base import Ground
from metier.tune.config import TuneConfig
from tiny_models import tiny_base

CHAT = Objective(task="chat", instruction="Answer please.")
GOOD = ("yes please, the card is here", "yes, the parcel is late because of loans")
BAD = ("no", "no, where is my house cat house cat", "none of it")


def pairs(count: int, start: int = 0) -> list[Example]:
    """Rows whose preferred reply begins with yes."""
    made = []
    for number in range(start, start + count):
        asked = f"where is my card {number} " + "please " * (number % 7)
        target = PreferenceTarget(GOOD[number % 2], BAD[number % 3] + f" {number % 4}")
        made.append(example(number, asked, target))
    return made


def version(ws: Workspace, splits: Mapping[str, Sequence[Example]] | None = None) -> DataVersion:
    chosen = splits or {"train": pairs(24), "validation": pairs(8, start=100)}
    return ledger.save_version(ws, chosen, labels=(), config={}, card={}, sources=[])


def preferring(kind: str, **changes: Any) -> TuneConfig:
    algorithm = {"type": kind} | changes.pop("algorithm", {})
    return settings(**{"batch_tokens": 256, "algorithm": algorithm} | changes)


def ground(
    kind: str, rows: Sequence[Example], held_out: Sequence[Example] = (), **changes: Any
) -> Ground:
    """What an algorithm is made from, without a workspace; a pass takes a whole step."""
    held = cast(DataVersion, SimpleNamespace(labels=()))
    config = preferring(kind, **{"batch_tokens": 4096} | changes)
    with Progress().task("encode") as task:
        nowhere = cast(Workspace, None)
        return Ground(config, held, nowhere, tiny_base(), CHAT, "", rows, held_out, task)
