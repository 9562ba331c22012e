"""What waits for a person beside a version, a page at a time: quarantined rows and suspects.

Pages go by id, which is time-ordered: ``after`` is the last one that was handed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import aliased

from metier.core.ledger.asides import Noted, Quarantined
from metier.core.ledger.find import record
from metier.core.records import DataVersion
from metier.core.store.tables import QuarantineRow, SuspectRow, VersionExampleRow
from metier.core.types import SPLITS
from metier.core.workspace import Workspace


def page_quarantine(
    ws: Workspace,
    version: DataVersion | None,
    digests: Sequence[str],
    *,
    reason: str | None = None,
    after: str = "",
    limit: int = 50,
) -> list[Quarantined]:
    """Return rows that are out of ``version`` and of its sources, oldest first; of each row the
    newest entry. ``version`` None: all rows."""
    query = select(QuarantineRow).where(*_out(version, digests), QuarantineRow.id > after)
    if reason is not None:
        query = query.where(QuarantineRow.reason == reason)
    with ws.db.reading() as session:
        rows = session.scalars(query.order_by(QuarantineRow.id).limit(limit))
        return [record(Quarantined, row) for row in rows]


def count_out(
    ws: Workspace, version: DataVersion | None, digests: Sequence[str]
) -> dict[tuple[str, str], int]:
    """Return how many rows ``page_quarantine`` pages through, by (step, reason), most first."""
    row = QuarantineRow
    query = select(row.step, row.reason, func.count()).where(*_out(version, digests))
    with ws.db.reading() as session:
        found = session.execute(query.group_by(row.step, row.reason)).all()
    return {(step, why): n for step, why, n in sorted(found, key=lambda one: (-one[2], *one[:2]))}


def page_suspects(
    ws: Workspace,
    version: DataVersion,
    *,
    reason: str | None = None,
    after: str = "",
    limit: int = 50,
) -> list[tuple[str, str, list[Noted]]]:
    """Return (example id, split, open suspicions) of rows of ``version``, in the order in which
    they were first found; ``after`` is the first suspicion of the last row that was handed out."""
    first = func.min(SuspectRow.id)
    query = select(SuspectRow.example_id).where(*_doubted(version)).group_by(SuspectRow.example_id)
    if reason is not None:
        query = query.where(_also(reason))
    with ws.db.reading() as session:
        ids = session.scalars(query.having(first > after).order_by(first).limit(limit)).all()
    return open_of(ws, version, ids)


def open_of(
    ws: Workspace, version: DataVersion, ids: Sequence[str]
) -> list[tuple[str, str, list[Noted]]]:
    """Return (example id, split, open suspicions) of these rows, in their order."""
    member, row = VersionExampleRow, SuspectRow
    splits = select(member.example_id, member.split).where(
        member.version_id == version.id, member.example_id.in_(ids)
    )
    waiting = select(row).where(row.closed_at.is_(None), row.example_id.in_(ids)).order_by(row.id)
    noted: dict[str, list[Noted]] = {}
    with ws.db.reading() as session:
        side = {one: split for one, split in session.execute(splits)}
        for one in session.scalars(waiting):
            found = Noted(
                one.id, one.created_at, one.example_id, one.step, one.reason, one.sealed_id
            )
            noted.setdefault(one.example_id, []).append(found)
    return [(one, side[one], noted[one]) for one in ids if one in side and one in noted]


def suspect_ids(ws: Workspace, example_id: str) -> list[str]:
    """Return the ids of all suspicions of a row, open and closed, oldest first."""
    query = select(SuspectRow.id).where(SuspectRow.example_id == example_id)
    with ws.db.reading() as session:
        return list(session.scalars(query.order_by(SuspectRow.id)))


def count_doubted(ws: Workspace, version: DataVersion) -> tuple[int, dict[str, int]]:
    """Return how many rows of ``version`` have open suspicions, and how many for each reason."""
    rows = func.count(SuspectRow.example_id.distinct())
    query = select(SuspectRow.reason, rows).where(*_doubted(version)).group_by(SuspectRow.reason)
    with ws.db.reading() as session:
        total = session.scalar(select(rows).where(*_doubted(version))) or 0
        found = session.execute(query).all()
    return total, {why: n for why, n in sorted(found, key=lambda one: (-one[1], one[0]))}


def _out(version: DataVersion | None, digests: Sequence[str]) -> list[ColumnElement[bool]]:
    newer: Any = aliased(QuarantineRow)
    again = exists().where(
        newer.example_id == QuarantineRow.example_id,
        newer.id > QuarantineRow.id,
        newer.restored_at.is_(None),
    )
    found = [QuarantineRow.restored_at.is_(None), ~again]
    if version is not None:
        member = VersionExampleRow
        kept = exists().where(
            member.version_id == version.id,
            member.example_id == QuarantineRow.example_id,
            member.split.in_(SPLITS),
        )
        found += [~kept, QuarantineRow.source_digest.in_(digests)]
    return found


def _doubted(version: DataVersion) -> list[ColumnElement[bool]]:
    member = VersionExampleRow
    held = exists().where(
        member.version_id == version.id, member.example_id == SuspectRow.example_id
    )
    return [SuspectRow.closed_at.is_(None), held]


def _also(reason: str) -> ColumnElement[bool]:
    other: Any = aliased(SuspectRow)
    return exists().where(
        other.example_id == SuspectRow.example_id,
        other.reason == reason,
        other.closed_at.is_(None),
    )
