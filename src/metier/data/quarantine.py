"""Quarantine: what was left out, why, and how it comes back.

A row that a person restores passes the step that had dropped it, in the next build and in every
one after. It is recognised by its id, or by its content once the source file has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.ledger import QuarantineContent, Quarantined
from metier.core.records import FEEDBACK, DataVersion
from metier.core.steps import Drop
from metier.core.types import SPLITS, Example
from metier.core.workspace import Workspace
from metier.data.intake import IMPORT
from metier.data.pipeline import Dropped

LEAKAGE = "leakage"
BATCH = 2000
"""Drops that are compared with what is stored, and written, at once."""
FINAL = {
    IMPORT: "correct the row in its source, and build again",
    LEAKAGE: "take the row that it repeats out of the other split, and build again",
    "labels": "correct the label in the source, or add it to [objective] labels, and build again",
    "incidents": "close its incident as fixed: metier data incidents close ID --as fixed",
}
"""Steps whose drops cannot be overruled, and what to do instead."""


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Rows in quarantine for one reason."""

    step: str
    reason: str
    rows: int


def list_rows(
    ws: Workspace, *, step: str | None = None, reason: str | None = None
) -> list[Quarantined]:
    """Return what is in quarantine now, oldest first: rows of the latest version's sources that
    are not in it and that nobody has restored."""
    rows = _current(ws, _newest(ledger.list_quarantine(ws)))
    return [
        row
        for row in rows
        if (step is None or row.step == step) and (reason is None or row.reason == reason)
    ]


def reasons(ws: Workspace) -> list[ReasonCount]:
    """Count what is in quarantine by step and reason, most frequent first."""
    counts = Counter((row.step, row.reason) for row in list_rows(ws))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [ReasonCount(step, reason, rows) for (step, reason), rows in ranked]


def page_rows(
    ws: Workspace, reason: str | None = None, *, after: str = "", limit: int = 50
) -> list[Quarantined]:
    """Return what ``list_rows`` does, a page at a time: those after the id ``after``."""
    version, digests = _sources(ws)
    return ledger.page_quarantine(ws, version, digests, reason=reason, after=after, limit=limit)


def count_rows(ws: Workspace) -> list[ReasonCount]:
    """Return what ``reasons`` does, counted by the database."""
    counts = ledger.count_out(ws, *_sources(ws))
    return [ReasonCount(step, reason, rows) for (step, reason), rows in counts.items()]


def show(ws: Workspace, key: str, *, actor: str | None = None) -> QuarantineContent:
    """Return what a quarantined row held and the evidence against it; audited.

    Raises:
        NotFound: no such row, or it was erased.
    """
    return ledger.open_quarantine(ws, key, actor=actor, purpose="show quarantined row")


def restore(ws: Workspace, keys: Sequence[str], *, actor: str | None = None) -> int:
    """Let rows into the next build; return how many were not restored before.

    Raises:
        NotFound: there is no such row.
        InputError: a row cannot be had back this way; none is restored.
    """
    for key in keys:
        row = ledger.get_quarantined(ws, key)
        if row.step in FINAL:
            raise InputError(
                "a row that a step dropped and a person may overrule",
                got=f"{row.id}: {row.reason} ({row.source}:{row.locator})",
                remedy=FINAL[row.step],
            )
    return ledger.restore_quarantine(ws, keys, actor=actor)


def restored_keys(ws: Workspace, examples: Iterable[Example]) -> frozenset[tuple[str, str]]:
    """Return (step, example id or content hash) of what people have restored.

    Content is opened, and the opening audited, only where no imported row has the id any more.
    """
    rows = ledger.list_quarantine(ws, restored=True)
    wanted = {row.example_id for row in rows}
    here = {example.id for example in examples if example.id in wanted} if wanted else set()
    keys: set[tuple[str, str]] = set()
    for row in rows:
        if row.example_id in here:
            keys.add((row.step, str(row.example_id)))
            continue
        content = _content(ws, row)
        if content is not None and content.example is not None:
            keys.add((row.step, content.example.content_hash))
    return frozenset(keys)


def _content(ws: Workspace, row: Quarantined) -> QuarantineContent | None:
    try:
        return ledger.open_quarantine(ws, row.id, purpose="find a restored row in a changed source")
    except NotFound:
        return None  # erased since: what is forgotten does not come back


def store(ws: Workspace, drops: Iterable[Dropped]) -> int:
    """Put drops into quarantine, but those that lie there for the same reason already."""
    count = 0
    left = iter(drops)
    while batch := list(islice(left, BATCH)):
        known = ledger.newest_quarantine(ws, {drop.example.id for drop in batch})
        new: dict[str, list[Drop]] = {}
        for drop in batch:
            if known.get(drop.example.id) != (drop.step, drop.reason):
                new.setdefault(drop.step, []).append(Drop(drop.example, drop.reason, drop.evidence))
        for step, rows in new.items():
            ledger.add_quarantine(ws, step, rows)
            count += len(rows)
    return count


def _newest(rows: Iterable[Quarantined]) -> list[Quarantined]:
    """The latest entry of each row; ids are time-ordered."""
    newest = {row.example_id or row.id: row for row in sorted(rows, key=lambda row: row.id)}
    return sorted(newest.values(), key=lambda row: row.id)


def _current(ws: Workspace, rows: list[Quarantined]) -> list[Quarantined]:
    try:
        version = ledger.get_version(ws)
    except NotFound:
        return rows
    kept = {one.example_id for one in ledger.list_members(ws, version) if one.split in SPLITS}
    digests = _digests(version)
    return [
        row
        for row in rows
        if row.example_id not in kept
        and any(Example.make_id(digest, row.locator) == row.example_id for digest in digests)
    ]


def _sources(ws: Workspace) -> tuple[DataVersion | None, list[str]]:
    try:
        version = ledger.get_version(ws)
    except NotFound:
        return None, []
    return version, _digests(version)


def _digests(version: DataVersion) -> list[str]:
    digests = [source["digest"] for source in version.card.get("sources", [])]
    return [*digests, FEEDBACK] if "cases" in version.card else digests
