"""Asides of a build: quarantine, changes and suspects, written beside the version.

What is there already is not written again, so that a build that was killed half-way is completed
by the next. Rows are compared and written a few thousand at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from metier.core import ledger
from metier.core.progress import Progress
from metier.core.steps import Suspect
from metier.core.workspace import Workspace
from metier.data.pipeline import Changed, Dropped, Outcomes, Suspected
from metier.data.quarantine import store
from metier.data.spool import Chained
from metier.data.watch import Watched

Noted = TypeVar("Noted", Changed, Suspected)
BATCH = 2000
Key = tuple[str, str, str]
"""Example id, step, and rule or reason."""


def store_asides(
    ws: Workspace, drops: Sequence[Dropped], outcomes: Outcomes, progress: Progress
) -> None:
    """Write quarantine, changes and suspects, but what is there already."""
    parts = (drops, outcomes.changes, outcomes.suspects)
    with progress.task("data: records", total=len(Chained(*parts)), unit="rows") as task:
        store(ws, Watched(drops, task))
        for step, changes in _batches(Watched(outcomes.changes, task)):
            stored = ledger.stored_changes(ws, {one.example.id for one in changes})
            new_changes = _unstored(changes, stored, _change_key)
            ledger.add_changes(ws, step, [(one.example, one.change) for one in new_changes])
        for step, suspects in _batches(Watched(outcomes.suspects, task)):
            stored = ledger.stored_suspects(ws, {one.example.id for one in suspects})
            new_suspects = _unstored(suspects, stored, _suspect_key)
            rows = [Suspect(one.example, one.reason, one.evidence) for one in new_suspects]
            ledger.add_suspects(ws, step, rows)


def _batches(noted: Iterable[Noted]) -> Iterator[tuple[str, list[Noted]]]:
    """Yield runs of one step. What concerns one example stays in one batch: it is counted there."""
    batch: list[Noted] = []
    for (step, _), run in groupby(noted, key=lambda one: (one.step, one.example.id)):
        if batch and (batch[0].step != step or len(batch) >= BATCH):
            yield batch[0].step, batch
            batch = []
        batch.extend(run)
    if batch:
        yield batch[0].step, batch


def _change_key(one: Changed) -> Key:
    return one.example.id, one.step, one.change.rule


def _suspect_key(one: Suspected) -> Key:
    return one.example.id, one.step, one.reason


def _unstored(
    noted: Sequence[Noted], stored: Counter[Key], key: Callable[[Noted], Key]
) -> list[Noted]:
    """Return what is left when each that is stored accounts for one."""
    new = []
    for one in noted:
        if stored[key(one)]:
            stored[key(one)] -= 1
        else:
            new.append(one)
    return new
