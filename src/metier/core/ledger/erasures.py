"""Erasures, and what the ledger does for them: successors of versions, members of a group.

A version that held an erased row is succeeded by one without it. The old version keeps its id,
hash, card and numbers, so that lineage and evaluations still make sense, but no rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.ledger.versions import SUCCEEDED_BY, get_version, load_split, save_version
from metier.core.lineage import Edge, Ref
from metier.core.records import DataVersion
from metier.core.store.tables import (
    EdgeRow,
    ErasureRow,
    EvaluationRow,
    RunRow,
    VersionExampleRow,
    VersionRow,
)
from metier.core.types import Json
from metier.core.workspace import Workspace

_IN = 500  # ids in one IN (...)


@dataclass(frozen=True, slots=True)
class Erasure:
    """One group that was erased. ``certificate`` holds ids and numbers, no text."""

    id: str
    created_at: datetime
    group_hash: str
    actor: str
    certificate: dict[str, Json]

    @property
    def runs(self) -> tuple[str, ...]:
        """Tuning runs that learned from rows of the group."""
        return tuple(one["run"] for one in self.certificate.get("adapters", ()))


@dataclass(frozen=True, slots=True)
class Holding:
    """An example of a group in a version."""

    version_id: str
    example_id: str
    split: str
    source_digest: str
    locator: str


def holdings(ws: Workspace, group: str) -> list[Holding]:
    """Return where rows of a group are: its own, the row of that id where it has no group, and
    what was made from them (augmentation), in every version that still holds rows."""
    row, found = VersionExampleRow, ws.sealed.group_hash(group)
    mine = or_(row.group_hash == found, row.example_id == group)
    with ws.db.reading() as session:
        ids = set(session.scalars(select(row.example_id).where(mine)))
        newest = ids
        while newest:
            children = _children(session, newest)
            newest = children - ids
            ids = ids | newest
        kinds = (row.version_id, row.example_id, row.split, row.source_digest, row.locator)
        held: list[Holding] = []
        for part in _parts(sorted(ids)):
            rows = session.execute(select(*kinds).where(row.example_id.in_(part)))
            held += [Holding(*one) for one in rows]
    return sorted(held, key=lambda one: (one.version_id, one.example_id))


def _children(session: Session, parents: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for part in _parts(sorted(parents)):
        query = select(VersionExampleRow.example_id).where(VersionExampleRow.parent_id.in_(part))
        found |= set(session.scalars(query))
    return found


def _parts(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + _IN] for start in range(0, len(ids), _IN)]


def succeed(ws: Workspace, version: DataVersion, without: Collection[str]) -> DataVersion:
    """Freeze ``version`` anew without the examples of these ids, and empty it.

    The successor takes its place in the order of builds and has its looks. Doing it again after
    an interruption gives the same successor.
    """
    gone = set(without)
    splits = {
        name: [one for one in load_split(ws, version, name) if one.id not in gone]
        for name in version.splits
    }
    removed = {name: version.counts[name] - len(rows) for name, rows in splits.items()}
    card = {**version.card, "erased": {"from": version.id, "rows": removed}}
    with ws.db.reading() as session:
        built_at = session.get_one(VersionRow, version.id).built_at
        sources = [
            Ref("source", one)
            for one in session.scalars(
                select(EdgeRow.parent_id).where(
                    EdgeRow.child_id == version.id, EdgeRow.parent_kind == "source"
                )
            )
        ]
    made = save_version(
        ws,
        splits,
        labels=version.labels,
        config=version.config,
        card=card,
        sources=sources,
        made_from=(Ref("version", version.id), "succeeds, without erased rows"),
    )
    with ws.db.session() as session:
        new = session.get_one(VersionRow, made.id)
        old = session.get_one(VersionRow, version.id)
        new.built_at = built_at
        old.splits = {}
        old.card = {**old.card, SUCCEEDED_BY: made.id}
        member = VersionExampleRow
        for part in _parts(sorted(gone)):
            of_old = member.version_id == old.id, member.example_id.in_(part)
            session.execute(delete(member).where(*of_old))
    return get_version(ws, made.id)


def add_erasure(
    ws: Workspace,
    group: str,
    certificate: dict[str, Json],
    gone: Collection[str] = (),
    *,
    actor: str | None = None,
) -> Erasure:
    """Note an erasure, with an entry in the audit log in the same transaction; lineage leads to it
    from the ids of the examples that are ``gone`` and from the versions that held them."""
    made = Erasure(
        new_id("era"), datetime.now(UTC), ws.sealed.group_hash(group), actor or "", certificate
    )
    with ws.db.session() as session:
        session.add(
            ErasureRow(
                id=made.id,
                created_at=made.created_at,
                group_hash=made.group_hash,
                actor=made.actor,
                certificate=certificate,
            )
        )
        this = Ref("erasure", made.id)
        edges = [Edge(Ref("example", one), this, "erased in") for one in sorted(gone)]
        held = [one["version"] for one in certificate.get("versions", ())]
        edges += [Edge(Ref("version", one), this, "rows erased in") for one in held]
        ws.lineage.record_many(edges, session=session)
        ws.audit.append(actor, "data.erased", made.id, {"group": made.group_hash}, session=session)
    return made


def list_erasures(ws: Workspace) -> list[Erasure]:
    """All erasures, oldest first."""
    with ws.db.reading() as session:
        rows = session.scalars(select(ErasureRow).order_by(ErasureRow.id))
        return [record(Erasure, row) for row in rows]


def erased_groups(ws: Workspace) -> frozenset[str]:
    """The keyed hashes of the groups whose rows are never taken in again."""
    with ws.db.reading() as session:
        return frozenset(session.scalars(select(ErasureRow.group_hash)))


def runs_on(ws: Workspace, version_ids: Collection[str]) -> list[tuple[str, str]]:
    """Return (run id, version id) of the tuning runs on these versions, oldest first."""
    with ws.db.reading() as session:
        found = session.execute(
            select(RunRow.id, RunRow.version_id)
            .where(RunRow.version_id.in_(sorted(version_ids)))
            .order_by(RunRow.id)
        )
        return [(run, version) for run, version in found]


def repoint_predictions(ws: Workspace, evaluation_id: str, artifact: str) -> None:
    """Let an evaluation's predictions be another artifact (one without erased rows)."""
    with ws.db.session() as session:
        row = session.get_one(EvaluationRow, evaluation_id)
        row.report = {**row.report, "predictions": artifact}
