"""Incidents: somebody met an identifier where none should be.

    report_identifier(ws, "ex_9f…", "a surname in line 2", actor="mara")

The row goes to quarantine and stays out of every build while the incident is open. Who had it is
read from lineage (versions, runs that learned from it, releases, predictions) and from the audit
log (exports, openings of sealed rows). Pages that were only looked at leave no trace there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.core import ledger
from metier.core.audit import AuditEntry
from metier.core.codec import from_json, to_json
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.ledger.find import find, record
from metier.core.refs import Ref
from metier.core.steps import Drop
from metier.core.store.tables import (
    ChangeRow,
    IncidentRow,
    QuarantineRow,
    SuspectRow,
    VaultPageRow,
    VersionExampleRow,
)
from metier.core.types import Example
from metier.core.workspace import Workspace
from metier.privacy.sign_off import list_samples

INCIDENT = ("incident", "metier data report-identifier")
STEP = "incidents"
REASON = "reported_identifier"
Resolution = Literal["fixed", "left_out"]
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)
EXPORTS = frozenset({"data.export", "release.export", "report.write", "sign_off.draw"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry of the audit log: who had the row, or something made from it, in hand."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """The ids of what had the row; ``runs`` are those that learned from it (their adapters)."""

    versions: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    evaluations: tuple[str, ...] = ()
    predictions: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    exports: tuple[Seen, ...] = ()
    viewers: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """One report. What was said is sealed: ``open_incident``. ``resolution`` None: it is open."""

    id: str
    created_at: datetime
    example_id: str
    content_hash: str | None
    opened_by: str
    spread: Spread
    sealed_id: str
    resolution: Resolution | None
    closed_at: datetime | None
    closed_by: str | None


def report_identifier(ws: Workspace, key: str, what: str, *, actor: str | None = None) -> Incident:
    """Open an incident about a row, and put the row into quarantine.

    ``key`` is the id of a row, of a quarantined row, or of a reply that a case was made from; what
    is said is sealed with the row's group. Raises NotFound, or InputError without words.
    """
    if not what.strip():
        raise InputError("what was met, in words", got="nothing", remedy="--what TEXT")
    subject = _subject(ws, ws.lineage.resolve(key))
    member = _member(ws, subject)
    spread = spread_of(ws, subject)
    group = (member.group_hash if member else None) or subject
    now = datetime.now(UTC)
    with ws.db.session() as session:
        sealed_id = ws.sealed.seal(group, what.encode("utf-8", "replace"), session=session)
        row = IncidentRow(
            id=new_id("inc"),
            created_at=now,
            example_id=subject,
            content_hash=member.content_hash if member else None,
            opened_by="",
            spread=to_json(spread),
            sealed_id=sealed_id,
        )
        entry = ws.audit.append(actor, "incident.open", row.id, _counts(spread), session=session)
        row.opened_by = entry.actor
        session.add(row)
        session.flush()
        incident = _incident(row)
    _quarantine(ws, incident, member)
    return incident


def spread_of(ws: Workspace, subject: str) -> Spread:
    """Return what had a row, from lineage and the audit log as they are now."""
    nodes = [node.ref for node in ws.lineage.trace(subject, "down")]
    ids = {kind: tuple(n.id for n in nodes if n.kind == kind) for kind in {n.kind for n in nodes}}
    copies = tuple(one for one in ids.get("example", ()) if one != subject)
    reached = {ref.id for ref in nodes}
    sealed = _sealed_ids(ws, [subject, *copies])
    entries = ws.audit.entries()
    return Spread(
        versions=ids.get("version", ()),
        runs=ids.get("run", ()),
        releases=ids.get("release", ()),
        evaluations=ids.get("evaluation", ()),
        predictions=ids.get("prediction", ()),
        copies=copies,
        exports=_seen(e for e in entries if e.action in EXPORTS and _about(e, reached)),
        viewers=_seen(e for e in entries if _opened(e, sealed)),
    )


def list_incidents(ws: Workspace, *, closed: bool = True) -> list[Incident]:
    """Return the incidents, oldest first; without ``closed``, those that are open."""
    query = select(IncidentRow).order_by(IncidentRow.id)
    if not closed:
        query = query.where(IncidentRow.resolution.is_(None))
    with ws.db.reading() as session:
        return [_incident(row) for row in session.scalars(query)]


def open_incident(ws: Workspace, key: str, *, actor: str | None = None) -> str:
    """Return what was said of an identifier; audited. Raises NotFound."""
    with ws.db.reading() as session:
        sealed_id = find(session, IncidentRow, key, *INCIDENT).sealed_id
    return ws.sealed.open(sealed_id, actor=actor, purpose="show incident").decode()


def close_incident(
    ws: Workspace, key: str, resolution: str, *, actor: str | None = None
) -> Incident:
    """Close an incident: ``fixed`` lets the row into the next build, ``left_out`` keeps it out.

    Raises NotFound, or InputError for another word or an incident that is closed.
    """
    if resolution not in RESOLUTIONS:
        raise InputError("a resolution: fixed or left_out", got=repr(resolution))
    with ws.db.session() as session:
        row = find(session, IncidentRow, key, *INCIDENT)
        if row.resolution is not None:
            raise InputError("an open incident", got=f"{row.id}, closed as {row.resolution}")
        detail = {"resolution": resolution}
        entry = ws.audit.append(actor, "incident.close", row.id, detail, session=session)
        row.resolution, row.closed_at, row.closed_by = resolution, datetime.now(UTC), entry.actor
        session.flush()
        return _incident(row)


def left_out(ws: Workspace) -> list[Incident]:
    """Return the incidents whose rows stay out of builds."""
    return [one for one in list_incidents(ws) if one.resolution != "fixed"]


def _subject(ws: Workspace, ref: Ref) -> str:
    """Return the row that a thing is about."""
    if ref.kind == "example":
        return ref.id
    if ref.kind == "quarantine":
        with ws.db.reading() as session:
            row = session.get_one(QuarantineRow, ref.id)
        if row.example_id is not None:
            return row.example_id
    found = [n.ref.id for n in ws.lineage.trace(ref.id, "down") if n.ref.kind == "example"]
    if ref.kind in ("interaction", "item") and found:
        return found[0]
    raise InputError(
        "the id of a row (ex_…), of a quarantined row, or of a reply that a case was made from",
        got=f"{ref.id}, a {ref.kind}",
        remedy="`metier data changes`, `metier data quarantine` and exports show the ids of rows",
    )


def _member(ws: Workspace, example_id: str) -> VersionExampleRow | None:
    query = select(VersionExampleRow).where(VersionExampleRow.example_id == example_id)
    with ws.db.reading() as session:
        newest = query.order_by(VersionExampleRow.version_id.desc()).limit(1)
        return session.scalars(newest).first()


def _quarantine(ws: Workspace, incident: Incident, member: VersionExampleRow | None) -> None:
    """Put the frozen row into quarantine; the next build leaves it out by its incident."""
    if member is None:
        return
    rows = ledger.load_split(ws, member.version_id, member.split)
    example: Example | None = next((one for one in rows if one.id == incident.example_id), None)
    if example is not None:
        ledger.add_quarantine(ws, STEP, [Drop(example, REASON, {"incident": incident.id})])


def _sealed_ids(ws: Workspace, examples: Sequence[str]) -> set[str]:
    """Return the sealed rows that hold text of these examples, or surrogates of their groups."""
    with ws.db.reading() as session:
        found = {
            sealed_id
            for table in (ChangeRow, QuarantineRow, SuspectRow)
            for sealed_id in session.scalars(
                select(table.sealed_id).where(table.example_id.in_(examples))
            )
        }
        found |= _pages(session, examples)
    wanted = set(examples)
    for sample in list_samples(ws):
        found |= {row.sealed_id for row in sample.detail.rows if row.id in wanted}
    return found


def _pages(session: Session, examples: Sequence[str]) -> set[str]:
    groups = select(VersionExampleRow.group_hash).where(
        VersionExampleRow.example_id.in_(examples), VersionExampleRow.group_hash.is_not(None)
    )
    pages = select(VaultPageRow.sealed_id).where(VaultPageRow.group_hash.in_(groups))
    return set(session.scalars(pages))


def _about(entry: AuditEntry, reached: set[str]) -> bool:
    rows = entry.detail.get("rows")
    listed = set(rows) if isinstance(rows, list) else set()
    return entry.subject in reached or bool(listed & reached)


def _opened(entry: AuditEntry, sealed: set[str]) -> bool:
    if entry.action != "sealed.open":
        return False
    rows = entry.detail.get("rows")
    return isinstance(rows, list) and not sealed.isdisjoint(rows)


def _seen(entries: Iterable[AuditEntry]) -> tuple[Seen, ...]:
    return tuple(
        Seen(e.seq, e.at, e.actor, e.action, e.subject, str(e.detail.get("purpose", "")))
        for e in entries
    )


def _counts(spread: Spread) -> dict[str, int]:
    return {name: len(getattr(spread, name)) for name in Spread.__dataclass_fields__}


def _incident(row: IncidentRow) -> Incident:
    return record(
        Incident,
        row,
        spread=from_json(Spread, row.spread),
        resolution=cast(Resolution | None, row.resolution),
    )
