"""What data steps leave beside a version: quarantined rows, changes, suspects.

Their text is sealed; only reason, step and place are in clear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from metier.core.codec import dumps, loads
from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import find, record
from metier.core.steps import Change, Drop, Suspect
from metier.core.store.tables import Base, ChangeRow, QuarantineRow, SuspectRow
from metier.core.types import Example, Json
from metier.core.workspace import Workspace

QUARANTINED = ("quarantined row", "metier data build")
_IN = 500  # ids in one IN (...)


@dataclass(frozen=True, slots=True)
class BadInput:
    """A row that could not become an example; ``raw`` is what was read of it, ``digest``
    the source's."""

    source: str
    locator: str
    reason: str
    raw: str = ""
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that was left out. What it held: ``open_quarantine``."""

    id: str
    created_at: datetime
    step: str
    reason: str
    example_id: str | None
    source: str
    source_digest: str | None
    locator: str
    sealed_id: str
    restored_at: datetime | None
    restored_by: str | None


@dataclass(frozen=True, slots=True)
class QuarantineContent:
    """What a quarantined row held: the example, or the raw text where there was none."""

    example: Example | None = None
    raw: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Noted:
    """A stored change or suspicion; ``why`` is the change's rule or the suspicion's reason."""

    id: str
    created_at: datetime
    example_id: str
    step: str
    why: str
    sealed_id: str


def add_quarantine(ws: Workspace, step: str, rows: Sequence[Drop | BadInput]) -> list[str]:
    """Put rows that ``step`` left out into quarantine; return their ids, in order."""
    records: list[dict[str, Any]] = []
    contents: list[tuple[str, str]] = []
    for row in rows:
        if isinstance(row, Drop):
            where = row.example.provenance
            place: dict[str, str | None] = {
                "example_id": row.example.id,
                "source": where.source,
                "source_digest": where.digest,
                "locator": where.locator,
            }
            group = row.example.group or row.example.id
            content = QuarantineContent(row.example, evidence=row.evidence)
        else:
            place = {
                "example_id": None,
                "source": row.source,
                "source_digest": row.digest,
                "locator": row.locator,
            }
            group = f"{row.source}#{row.locator}"
            content = QuarantineContent(raw=row.raw)
        records.append({"step": step, "reason": row.reason, **place})
        contents.append((group, dumps(content)))
    return _add(ws, QuarantineRow, "quar", records, contents)


def list_quarantine(
    ws: Workspace, *, step: str | None = None, reason: str | None = None, restored: bool = False
) -> list[Quarantined]:
    """Quarantined rows, oldest first; with ``restored``, those that were taken back."""
    query = select(QuarantineRow).order_by(QuarantineRow.id)
    if step is not None:
        query = query.where(QuarantineRow.step == step)
    if reason is not None:
        query = query.where(QuarantineRow.reason == reason)
    restored_at = QuarantineRow.restored_at
    query = query.where(restored_at.is_not(None) if restored else restored_at.is_(None))
    with ws.db.reading() as session:
        return [record(Quarantined, row) for row in session.scalars(query)]


def count_quarantine(ws: Workspace) -> dict[tuple[str, str], int]:
    """How many rows are in quarantine, by (step, reason)."""
    query = (
        select(QuarantineRow.step, QuarantineRow.reason, func.count())
        .where(QuarantineRow.restored_at.is_(None))
        .group_by(QuarantineRow.step, QuarantineRow.reason)
    )
    with ws.db.reading() as session:
        return {(step, reason): count for step, reason, count in session.execute(query)}


def get_quarantined(ws: Workspace, key: str) -> Quarantined:
    """Find a row in quarantine, restored or not, by its id or the beginning of it. Raises
    NotFound."""
    with ws.db.reading() as session:
        return record(Quarantined, find(session, QuarantineRow, key, *QUARANTINED))


def open_quarantine(
    ws: Workspace, key: str, *, actor: str | None = None, purpose: str
) -> QuarantineContent:
    """What a quarantined row held; the opening is audited. Raises NotFound."""
    with ws.db.reading() as session:
        sealed_id = find(session, QuarantineRow, key, *QUARANTINED).sealed_id
    return loads(QuarantineContent, ws.sealed.open(sealed_id, actor=actor, purpose=purpose))


def restore_quarantine(ws: Workspace, keys: Sequence[str], *, actor: str | None = None) -> int:
    """Mark rows as taken back, so that the next build keeps them; return how many were new."""
    with ws.db.session() as session:
        ids = [find(session, QuarantineRow, key, *QUARANTINED).id for key in keys]
        entry = ws.audit.append(
            actor, "quarantine.restore", f"{len(ids)} rows", {"rows": ids}, session=session
        )
        restored = session.execute(
            update(QuarantineRow)
            .where(QuarantineRow.id.in_(ids), QuarantineRow.restored_at.is_(None))
            .values(restored_at=datetime.now(UTC), restored_by=entry.actor)
        )
        return int(getattr(restored, "rowcount", 0))


def add_changes(ws: Workspace, step: str, changes: Sequence[tuple[Example, Change]]) -> list[str]:
    """Store what ``step`` edited; the texts before and after are sealed."""
    records = [{"example_id": one.id, "step": step, "rule": edit.rule} for one, edit in changes]
    contents = [(one.group or one.id, dumps(edit)) for one, edit in changes]
    return _add(ws, ChangeRow, "chg", records, contents)


def add_suspects(ws: Workspace, step: str, suspects: Sequence[Suspect]) -> list[str]:
    """Store examples that a person should look at; the evidence is sealed."""
    records = [
        {"example_id": one.example.id, "step": step, "reason": one.reason} for one in suspects
    ]
    contents = [
        (one.example.group or one.example.id, dumps(dict(one.evidence))) for one in suspects
    ]
    return _add(ws, SuspectRow, "sus", records, contents)


def list_changes(
    ws: Workspace,
    example_id: str | None = None,
    *,
    rule: str | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> list[Noted]:
    """Stored changes, oldest first, of all examples or of one, by all rules or by one."""
    query = select(ChangeRow).order_by(ChangeRow.id).offset(offset).limit(limit)
    if example_id is not None:
        query = query.where(ChangeRow.example_id == example_id)
    if rule is not None:
        query = query.where(ChangeRow.rule == rule)
    with ws.db.reading() as session:
        return [
            Noted(row.id, row.created_at, row.example_id, row.step, row.rule, row.sealed_id)
            for row in session.scalars(query)
        ]


def count_changes(
    ws: Workspace, example_id: str | None = None
) -> dict[tuple[str, str], tuple[int, int]]:
    """How many changes there are and to how many examples, by (step, rule)."""
    rows = func.count(ChangeRow.example_id.distinct())
    query = select(ChangeRow.step, ChangeRow.rule, func.count(), rows)
    if example_id is not None:
        query = query.where(ChangeRow.example_id == example_id)
    query = query.group_by(ChangeRow.step, ChangeRow.rule)
    with ws.db.reading() as session:
        found = session.execute(query.order_by(ChangeRow.step, ChangeRow.rule))
        return {(step, rule): (changes, examples) for step, rule, changes, examples in found}


def find_changed(ws: Workspace, key: str) -> str:
    """Return the id of the changed example that has this id, begins so, or has this change.

    Raises NotFound when none or several do.
    """
    named = ChangeRow.id == key
    begins = ChangeRow.example_id.startswith(key, autoescape=True)
    query = select(ChangeRow.example_id).distinct().where(or_(named, begins)).limit(2)
    with ws.db.reading() as session:
        found = session.scalars(query).all() if key else []
    if len(found) == 1:
        return str(found[0])
    raise NotFound(
        "the id of a row that was changed, or of a change",
        got=f"{key!r}, which fits {'several' if found else 'none'}",
        remedy="list them with `metier data changes`",
    )


def list_suspects(ws: Workspace, *, closed: bool = False) -> list[Noted]:
    """Suspicions that nobody has closed, oldest first; with ``closed`` those that were, too."""
    query = select(SuspectRow).order_by(SuspectRow.id)
    if not closed:
        query = query.where(SuspectRow.closed_at.is_(None))
    with ws.db.reading() as session:
        return [
            Noted(row.id, row.created_at, row.example_id, row.step, row.reason, row.sealed_id)
            for row in session.scalars(query)
        ]


def close_suspects(
    ws: Workspace, ids: Sequence[str], *, reopen: bool = False, session: Session | None = None
) -> int:
    """Close suspicions, or open them again; return how many changed."""
    if session is None:
        with ws.db.session() as own:
            return close_suspects(ws, ids, reopen=reopen, session=own)
    changed = 0
    for start in range(0, len(ids), _IN):
        part = SuspectRow.id.in_(ids[start : start + _IN])
        was = SuspectRow.closed_at.is_not(None) if reopen else SuspectRow.closed_at.is_(None)
        closed_at = None if reopen else datetime.now(UTC)
        done = session.execute(update(SuspectRow).where(part, was).values(closed_at=closed_at))
        changed += int(getattr(done, "rowcount", 0))
    return changed


def open_change(ws: Workspace, change: Noted, *, actor: str | None = None, purpose: str) -> Change:
    """The texts before and after a change; the opening is audited."""
    return loads(Change, ws.sealed.open(change.sealed_id, actor=actor, purpose=purpose))


def open_changes(
    ws: Workspace, changes: Sequence[Noted], *, actor: str | None = None, purpose: str
) -> dict[str, Change]:
    """The texts of several changes by the changes' ids, under one audit entry; erased ones are
    missing."""
    held = ws.sealed.unerased([one.sealed_id for one in changes])
    kept = [one for one in changes if one.sealed_id in held]
    if not kept:
        return {}
    boxes = ws.sealed.open_many([one.sealed_id for one in kept], actor=actor, purpose=purpose)
    return {one.id: loads(Change, boxes[one.sealed_id]) for one in kept}


def open_suspect(
    ws: Workspace, suspect: Noted, *, actor: str | None = None, purpose: str
) -> dict[str, Json]:
    """The evidence of a suspicion; the opening is audited."""
    return loads(dict[str, Any], ws.sealed.open(suspect.sealed_id, actor=actor, purpose=purpose))


def _add(
    ws: Workspace,
    table: type[Base],
    prefix: str,
    records: Sequence[dict[str, Any]],
    contents: Sequence[tuple[str, str]],
) -> list[str]:
    now = datetime.now(UTC)
    with ws.db.session() as session:
        boxes = [(group, text.encode()) for group, text in contents]
        sealed = ws.sealed.seal_many(boxes, session=session)
        rows = [
            {"id": new_id(prefix), "created_at": now, "sealed_id": box, **record}
            for record, box in zip(records, sealed, strict=True)
        ]
        ws.db.insert_new(session, table, rows)
    return [str(row["id"]) for row in rows]
