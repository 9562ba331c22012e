"""Probes: measurements beside the test set, stored and found again."""

from __future__ import annotations

from sqlalchemy import select

from metier.core.codec import from_json, to_json
from metier.core.lineage import Ref
from metier.core.records import Probe
from metier.core.store.tables import ProbeRow
from metier.core.workspace import Workspace

_INDEXED = ("id", "created_at", "kind", "subject", "version_id", "run_id")


def save_probe(ws: Workspace, probe: Probe) -> Probe:
    """Store what a measurement found, with lineage to its run and data version."""
    parents = []
    if probe.version_id is not None:
        parents.append((Ref("version", probe.version_id), "measured on"))
    if probe.run_id is not None:
        parents.append((Ref("run", probe.run_id), "measures"))
    with ws.db.session() as session:
        indexed = {name: getattr(probe, name) for name in _INDEXED}
        session.add(ProbeRow(**indexed, probe=to_json(probe)))
        session.flush()
        if parents:
            ws.lineage.record(Ref("probe", probe.id), parents, session=session)
    return probe


def list_probes(
    ws: Workspace,
    kind: str | None = None,
    *,
    subject: str | None = None,
    run_id: str | None = None,
    version_id: str | None = None,
) -> list[Probe]:
    """Return the probes that fit, oldest first."""
    query = select(ProbeRow).order_by(ProbeRow.id)
    asked = {"kind": kind, "subject": subject, "run_id": run_id, "version_id": version_id}
    for name, value in asked.items():
        if value is not None:
            query = query.where(getattr(ProbeRow, name) == value)
    with ws.db.reading() as session:
        return [from_json(Probe, row.probe) for row in session.scalars(query)]


def latest_probe(ws: Workspace, kind: str, subject: str) -> Probe | None:
    """Return the newest probe of a kind about a subject, None when there is none."""
    found = list_probes(ws, kind, subject=subject)
    return found[-1] if found else None
