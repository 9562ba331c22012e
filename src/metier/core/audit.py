"""Audit: who did what, as a chain in which each entry's hash covers the one before.

    audit.append("mara", "sealed.open", "seal_0198…", {"purpose": "restore"})

Changing, removing or reordering an entry breaks the chain from there on. Cutting off its end
cannot be seen from inside: note ``AuditCheck.head`` somewhere else to be able to tell.
Entries hold ids and keyed hashes, never text of people.

Views ("view": who looked at what) may have to be forgotten while the chain stays. A view's hash
covers its content (actor, subject, detail with a random salt) through a hash of its own, the
anchor. Forgetting removes the content and leaves the anchor, so the chain still verifies and still
proves that what was forgotten was a view, and when; no action can be passed off as one. What was
forgotten, when and by whom is itself an entry ("audit.forget").
"""

from __future__ import annotations

import getpass
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from metier.core.codec import dumps
from metier.core.store.database import Database
from metier.core.store.tables import AuditRow
from metier.core.types import Json

GENESIS = "0" * 64
VIEW = "view"
FORGOTTEN = "forgotten"
SALT = "salt"
_BATCH = 1000
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

    @property
    def forgotten(self) -> bool:
        """Whether this is a view of which only the anchor is left."""
        return self.action == VIEW and self.actor == "" and FORGOTTEN in self.detail


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """Result of a verification. ``first_bad`` is the ``seq`` at which the chain breaks;
    ``forgotten`` counts views of which only the anchor is left."""

    ok: bool
    count: int
    first_bad: int | None
    head: str
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries to find; empty: all. ``action`` and ``subject`` are beginnings; ``since`` is
    included, ``until`` is not."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


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
        held = dict(detail or {}) | ({SALT: secrets.token_hex(16)} if action == VIEW else {})
        entry = _link(last, actor or current_actor(), action, subject, held, datetime.now(UTC))
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

    def search(self, query: AuditQuery, limit: int = 100, offset: int = 0) -> list[AuditEntry]:
        """Entries that fit, newest first."""
        chosen = _fitting(query).order_by(AuditRow.seq.desc()).limit(limit).offset(offset)
        with self._db.reading() as session:
            return [_entry(row) for row in session.scalars(chosen)]

    def count(self, query: AuditQuery) -> int:
        """How many entries fit."""
        with self._db.reading() as session:
            fitting = _fitting(query).subquery()
            return session.scalar(select(func.count()).select_from(fitting)) or 0

    def each(self, query: AuditQuery) -> Iterator[AuditEntry]:
        """All entries that fit, oldest first, without holding them all."""
        left = _fitting(query).order_by(AuditRow.seq).limit(_BATCH)
        page = left
        while True:
            with self._db.reading() as session:
                found = [_entry(row) for row in session.scalars(page)]
            yield from found
            if len(found) < _BATCH:
                return
            page = left.where(AuditRow.seq > found[-1].seq)

    def actions(self) -> list[str]:
        """The actions there are, sorted."""
        with self._db.reading() as session:
            return sorted(session.scalars(select(AuditRow.action).distinct()))

    def count_views_before(self, moment: datetime) -> int:
        """How many views ``forget_before`` would forget."""
        with self._db.reading() as session:
            fitting = _views_before(moment).subquery()
            return session.scalar(select(func.count()).select_from(fitting)) or 0

    def forget_before(self, moment: datetime, actor: str | None = None) -> int:
        """Forget who looked at what before ``moment``; actions stay. Returns how many views.

        Interrupted, it has forgotten some; the next call goes on.
        """
        total = 0
        while True:
            with self._db.session() as session:
                found = _views_before(moment).order_by(AuditRow.seq).limit(_BATCH)
                rows = list(session.scalars(found))
                for row in rows:
                    anchor = _content_hash(_entry(row))
                    row.actor, row.subject, row.detail = "", "", {FORGOTTEN: anchor}
                if rows:
                    ends = {"n": len(rows), "first": rows[0].seq, "last": rows[-1].seq}
                    self.append(actor, "audit.forget", moment.isoformat(), ends, session=session)
            total += len(rows)
            if len(rows) < _BATCH:
                return total

    def verify(self) -> AuditCheck:
        """Recompute the chain from its beginning."""
        previous, count, forgotten = GENESIS, 0, 0
        for count, entry in enumerate(self.each(AuditQuery()), start=1):
            if entry.seq != count or entry.previous != previous or entry.hash != _hash(entry):
                return AuditCheck(False, count, entry.seq, previous, forgotten)
            previous, forgotten = entry.hash, forgotten + entry.forgotten
        return AuditCheck(True, count, None, previous, forgotten)


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
    at = entry.at.isoformat()
    if entry.action == VIEW:
        return _digest([entry.seq, at, VIEW, _content_hash(entry), entry.previous])
    body = [entry.seq, at, entry.actor, entry.action, entry.subject, entry.detail, entry.previous]
    return _digest(body)


def _content_hash(view: AuditEntry) -> str:
    """What stands for a view's content in its hash. The salt keeps it from being guessed."""
    if view.forgotten:
        return str(view.detail[FORGOTTEN])
    return _digest([view.actor, view.subject, view.detail])


def _digest(body: Json) -> str:
    return hashlib.sha256(dumps(body).encode()).hexdigest()


def _fitting(query: AuditQuery) -> Select[AuditRow]:
    found = select(AuditRow)
    if query.actor:
        found = found.where(AuditRow.actor == query.actor)
    if query.action:
        found = found.where(AuditRow.action.startswith(query.action, autoescape=True))
    if query.subject:
        found = found.where(AuditRow.subject.startswith(query.subject, autoescape=True))
    # Moments are kept as text in one zone and shape, which sorts as they do.
    if query.since is not None:
        found = found.where(AuditRow.at >= query.since.astimezone(UTC).isoformat())
    if query.until is not None:
        found = found.where(AuditRow.at < query.until.astimezone(UTC).isoformat())
    return found


def _views_before(moment: datetime) -> Select[AuditRow]:
    return _fitting(AuditQuery(action=VIEW, until=moment)).where(
        AuditRow.action == VIEW, AuditRow.actor != ""
    )
