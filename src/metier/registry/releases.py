"""Releases: model versions under a number, and the aliases that point to them.

    release = create_release(ws, manifest, gate)     # v1, and the challenger
    get_release(ws, "champion")

A release never changes; only aliases move. Whoever moves one holds ``lock_aliases``, so that two
who move them at once come one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session

from metier.core.audit import current_actor
from metier.core.codec import dumps, loads, to_json
from metier.core.errors import NotFound, nearest
from metier.core.ids import new_id
from metier.core.ledger.find import LATEST, columns, record
from metier.core.lineage import Ref
from metier.core.records import Release
from metier.core.store.tables import AliasRow, ReleaseRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.registry.checks import CREATED, verify
from metier.registry.types import ALIASES, Manifest

__all__ = [
    "aliases",
    "create_release",
    "get_release",
    "list_releases",
    "load_manifest",
    "lock_aliases",
    "point_alias",
    "verify",
]
MANIFEST = "application/json"
_NUMBERED = re.compile(r"v(\d{1,9})")


def create_release(ws: Workspace, manifest: Manifest, gate: Mapping[str, Json]) -> Release:
    """Store a release under the next number and make it the challenger.

    ``manifest.number`` is replaced by that number; ``gate`` needs the key ``state``. The same
    adapter, system prompt, evaluation and gate state again give the release that is there.
    """
    with ws.db.reading() as session:
        known = _same(ws, session, manifest, gate)
    while known is None:
        with ws.db.reading() as session:
            number = _next_number(session)
        # Stored before the transaction begins: it writes to the database itself.
        digest = ws.artifacts.put_bytes(dumps(replace(manifest, number=number)).encode(), MANIFEST)
        with ws.db.session() as session:
            lock_aliases(ws, session)
            known = _same(ws, session, manifest, gate)
            if known is None and _next_number(session) == number:
                return _insert(ws, session, replace(manifest, number=number), digest, gate)
    return known


def get_release(ws: Workspace, key: str = LATEST) -> Release:
    """Find a release by ``v3``, alias, id or an unambiguous beginning of one, or the latest.

    Raises NotFound, which names the nearest.
    """
    with ws.db.reading() as session:
        query = select(ReleaseRow).where(_named(key)).order_by(ReleaseRow.number).limit(2)
        rows = list(session.scalars(query)) if key else []
        if len(rows) == 1:
            return _release(rows[0])
        if rows:
            ids = " and ".join(row.id for row in rows)
            got = f"{key!r}, which begins {ids}"
            raise NotFound("one release", got=got, remedy="give more of it, or its number")
        raise _unknown(session, key)


def list_releases(ws: Workspace) -> list[Release]:
    """All releases, oldest first."""
    with ws.db.reading() as session:
        rows = session.scalars(select(ReleaseRow).order_by(ReleaseRow.number))
        return [_release(row) for row in rows]


def aliases(ws: Workspace) -> dict[str, Release]:
    """The aliases that are set and what they point to, the champion first."""
    query = select(AliasRow.name, ReleaseRow).join(ReleaseRow, AliasRow.release_id == ReleaseRow.id)
    with ws.db.reading() as session:
        found = {name: _release(row) for name, row in session.execute(query)}
    return {name: found[name] for name in ALIASES if name in found}


def lock_aliases(ws: Workspace, session: Session) -> None:
    """Let no one else move an alias until this transaction ends; readers do not wait.

    The whole table is locked, not its rows: an alias that is not set has no row to lock.
    """
    if not ws.db.is_sqlite:  # SQLite sessions hold the write lock already
        session.execute(text(f"LOCK TABLE {AliasRow.__tablename__} IN EXCLUSIVE MODE"))


def point_alias(
    ws: Workspace, name: str, release_id: str | None, actor: str | None, session: Session
) -> None:
    """Point an alias to a release, or with None take it away, as part of ``session``.

    For callers that hold ``lock_aliases`` and write the audit entry. Raises NotFound for another
    name than those of ``ALIASES``.
    """
    if name not in ALIASES:
        raise NotFound("the name of an alias", got=repr(name), remedy=nearest(name, ALIASES))
    row = session.get(AliasRow, name)
    if release_id is None:
        if row is not None:
            session.delete(row)
    else:
        kept = row or AliasRow(name=name)
        kept.release_id, kept.set_at = release_id, datetime.now(UTC)
        kept.set_by = actor or current_actor()
        session.add(kept)
    session.flush()


def load_manifest(ws: Workspace, release: Release) -> Manifest:
    """Read a release's manifest, checked against its hash. Raises IntegrityError, NotFound."""
    return loads(Manifest, ws.artifacts.get_bytes(release.manifest))


def _insert(
    ws: Workspace, session: Session, manifest: Manifest, digest: str, gate: Mapping[str, Json]
) -> Release:
    release = Release(
        id=new_id("rel"),
        number=manifest.number,
        created_at=datetime.now(UTC),
        run_id=manifest.run_id,
        version_id=manifest.version_id,
        evaluation_id=manifest.evaluation_id,
        base=manifest.base,
        base_fingerprint=manifest.base_fingerprint,
        adapter=manifest.adapter,
        manifest=digest,
        gate=to_json(gate),
    )
    session.add(ReleaseRow(**columns(ReleaseRow, release)))
    session.flush()
    parents = [
        (Ref("run", release.run_id), "made from"),
        (Ref("evaluation", release.evaluation_id), "judged by"),
        (Ref("version", release.version_id), "trained on"),
    ]
    ws.lineage.record(Ref("release", release.id), parents, session=session)
    point_alias(ws, "challenger", release.id, None, session)
    detail = {"number": release.number, "manifest": digest, "gate": gate["state"]}
    ws.audit.append(None, CREATED, release.id, detail, session=session)
    return release


def _same(
    ws: Workspace, session: Session, manifest: Manifest, gate: Mapping[str, Json]
) -> Release | None:
    query = select(ReleaseRow).where(
        ReleaseRow.adapter == manifest.adapter,
        ReleaseRow.evaluation_id == manifest.evaluation_id,
    )
    for row in session.scalars(query.order_by(ReleaseRow.number.desc())):
        release = _release(row)
        equal = release.gate["state"] == gate["state"]
        if equal and load_manifest(ws, release).system == manifest.system:
            return release
    return None


def _next_number(session: Session) -> int:
    return (session.scalar(select(func.max(ReleaseRow.number))) or 0) + 1


def _named(key: str) -> ColumnElement[bool]:
    """What is true of the releases that ``key`` may mean."""
    if key == LATEST:
        return ReleaseRow.number == select(func.max(ReleaseRow.number)).scalar_subquery()
    if key in ALIASES:
        return ReleaseRow.id.in_(select(AliasRow.release_id).where(AliasRow.name == key))
    numbered = _NUMBERED.fullmatch(key)
    if numbered:
        return ReleaseRow.number == int(numbered.group(1))
    return ReleaseRow.id.startswith(key, autoescape=True)


def _unknown(session: Session, key: str) -> NotFound:
    numbers: Iterable[int] = session.scalars(select(ReleaseRow.number))
    names = [f"v{number}" for number in numbers]
    if not names:
        remedy = "make one with `metier cycle run`, or with `metier release create`"
        return NotFound("a release", got=f"{key!r}, and there is none so far", remedy=remedy)
    if key in ALIASES:
        got = f"{key!r}, which points to none so far"
        return NotFound("a release", got=got, remedy=f"name one of: {', '.join(names)}")
    known = [*names, *session.scalars(select(AliasRow.name)), LATEST]
    return NotFound("the name of a release", got=repr(key), remedy=nearest(key, known))


def _release(row: ReleaseRow) -> Release:
    return record(Release, row)
