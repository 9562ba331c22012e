"""Audit: who did what, as a chain in which each entry's hash covers the one before.

    audit.append("mara", "sealed.open", "seal_0198…", {"purpose": "restore"})

Changing, removing or reordering an entry breaks the chain from there on. Cutting off its end
cannot be seen from inside: note ``AuditCheck.head`` somewhere else to be able to tell.
Entries hold ids and keyed hashes, never text of people.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from metier.core.codec import dumps
from metier.core.store.database import Database
from metier.core.store.tables import AuditRow
from metier.core.types import Json

GENESIS = "0" * 64
_CHAIN_LOCK = 0x61756469  # any constant: names the PostgreSQL advisory lock


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done. ``seq`` counts from 1; ``at`` is in UTC."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Json]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """Result of a verification. ``first_bad`` is the ``seq`` at which the chain breaks."""

    ok: bool
    count: int
    first_bad: int | None
    head: str


class Audit:
    """The log of one workspace. Appending is safe from many threads and processes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def append(
        self,
        actor: str | None,
        action: str,
        subject: str,
        detail: Mapping[str, Json] | None = None,
        *,
        session: Session | None = None,
    ) -> AuditEntry:
        """Add an entry (actor None: the OS user); with ``session``, as part of its transaction."""
        if session is None:
            with self._db.session() as own:
                return self.append(actor, action, subject, detail, session=own)
        if not self._db.is_sqlite:  # SQLite sessions hold the write lock already
            session.execute(text(f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK})"))
        last = session.scalars(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1)).first()
        entry = _link(
            last, actor or current_actor(), action, subject, dict(detail or {}), datetime.now(UTC)
        )
        fields = {name: getattr(entry, name) for name in AuditEntry.__dataclass_fields__}
        session.add(AuditRow(**fields | {"at": entry.at.isoformat()}))
        session.flush()
        return entry

    def entries(self, subject: str | None = None) -> list[AuditEntry]:
        """All entries in order, or those about one subject."""
        query = select(AuditRow).order_by(AuditRow.seq)
        if subject is not None:
            query = query.where(AuditRow.subject == subject)
        with self._db.reading() as session:
            return [_entry(row) for row in session.scalars(query)]

    def verify(self) -> AuditCheck:
        """Recompute the chain from its beginning."""
        previous, count = GENESIS, 0
        with self._db.reading() as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.seq)).yield_per(1000)
            for count, row in enumerate(rows, start=1):
                entry = _entry(row)
                if entry.seq != count or entry.previous != previous or entry.hash != _hash(entry):
                    return AuditCheck(False, count, entry.seq, previous)
                previous = entry.hash
        return AuditCheck(True, count, None, previous)


def current_actor() -> str:
    """The name of the OS user, for entries that name nobody else."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return "unknown"


def _link(
    last: AuditRow | None, actor: str, action: str, subject: str, detail: Json, at: datetime
) -> AuditEntry:
    seq, previous = (1, GENESIS) if last is None else (last.seq + 1, last.hash)
    bare = AuditEntry(seq, at, actor, action, subject, detail, previous, "")
    return replace(bare, hash=_hash(bare))


def _entry(row: AuditRow) -> AuditEntry:
    fields = {name: getattr(row, name) for name in AuditEntry.__dataclass_fields__}
    return AuditEntry(**fields | {"at": datetime.fromisoformat(row.at)})


def _hash(entry: AuditEntry) -> str:
    body = [
        entry.seq, entry.at.isoformat(), entry.actor, entry.action, entry.subject, entry.detail,
        entry.previous,
    ]  # fmt: skip
    return hashlib.sha256(dumps(body).encode()).hexdigest()
