"""What is stored of some examples beside a version, so that nothing is written twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import select

from metier.core.store.tables import ChangeRow, QuarantineRow, SuspectRow
from metier.core.workspace import Workspace


def stored_changes(ws: Workspace, ids: Collection[str]) -> Counter[tuple[str, str, str]]:
    """How many changes are stored of these examples, by (example id, step, rule)."""
    row = ChangeRow
    return _count(ws, select(row.example_id, row.step, row.rule), row.example_id, ids)


def stored_suspects(ws: Workspace, ids: Collection[str]) -> Counter[tuple[str, str, str]]:
    """How many suspicions are stored of these examples, by (example id, step, reason); closed ones
    count, so that what a person has decided on does not come back."""
    row = SuspectRow
    return _count(ws, select(row.example_id, row.step, row.reason), row.example_id, ids)


def newest_quarantine(ws: Workspace, ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """The step and reason of the newest entry of each example, restored ones included."""
    row = QuarantineRow
    query = select(row.id, row.example_id, row.step, row.reason)
    with ws.db.reading() as session:
        found = [
            entry
            for part in _parts(ids)
            for entry in session.execute(query.where(row.example_id.in_(part)))
        ]
    return {one.example_id: (one.step, one.reason) for one in sorted(found, key=lambda e: e.id)}


def _count(
    ws: Workspace, query: Any, column: Any, ids: Collection[str]
) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    with ws.db.reading() as session:
        for part in _parts(ids):
            counts.update(tuple(found) for found in session.execute(query.where(column.in_(part))))
    return counts


def _parts(ids: Collection[str]) -> Iterator[list[str]]:
    left = iter(sorted(ids))
    while part := list(islice(left, 500)):
        yield part
