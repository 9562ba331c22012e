"""API keys: a random secret that is shown once; only its SHA-256 is kept.

key, secret = create_key(ws, "helpdesk", expires_days=90, scopes=["chat", "feedback"])
check_key(ws, secret)                                       # the key, or None

scope      opens
chat       replies, and the list of models
feedback   saying what was thought of a reply
queue      the queue of corrections
annotate   queues, items and answers of people
tune       tuning runs and their files
read       everything that only looks
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, select

from metier.core.audit import current_actor
from metier.core.errors import InputError, NotFound, nearest
from metier.core.ids import new_id
from metier.core.ledger.find import columns, record
from metier.core.store.tables import ApiKeyRow
from metier.core.workspace import Workspace

PREFIX = "mk_"
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
SCOPES = ("chat", "feedback", "queue", "annotate", "tune", "read")
_MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the API, without its secret. ``expires_at`` None: it does not expire; ``scopes``
    None: it opens everything."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    scopes: tuple[str, ...] | None = None
    created_by: str | None = None

    def opens(self, scope: str) -> bool:
        """Whether it may be used for that; "all" is what no single scope covers."""
        return self.scopes is None or scope in self.scopes

    @property
    def live(self) -> bool:
        """Whether it opens anything now: neither revoked nor expired."""
        expired = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
        return self.revoked_at is None and not expired


def create_key(
    ws: Workspace,
    name: str,
    expires_days: float | None = None,
    *,
    scopes: Sequence[str] | None = None,
    actor: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; returns it and its secret (256 random bits), which cannot be had again.

    ``scopes`` None: it opens everything. Raises InputError for an empty name, one that a live key
    has, a time that is not positive, or a scope that is none.
    """
    for one in scopes or ():
        if one not in SCOPES:
            raise InputError("a scope of a key", got=repr(one), remedy=nearest(one, SCOPES))
    held = tuple(sorted(set(scopes))) if scopes else None
    by = actor or current_actor()
    if not name.strip() or len(name) > 100:
        raise InputError("a name of 1 to 100 characters", got=repr(name[:100]))
    if expires_days is not None and not 0 < expires_days <= _MOST_DAYS:
        raise InputError(f"more than 0 and at most {_MOST_DAYS} days", got=str(expires_days))
    now = datetime.now(UTC)
    secret = PREFIX + secrets.token_urlsafe(32)
    until = None if expires_days is None else now + timedelta(days=expires_days)
    key = ApiKey(new_id("apikey"), name, now, until, None, held, by)
    with ws.db.session() as session:
        same = session.scalars(select(ApiKeyRow).where(ApiKeyRow.name == name))
        if any(_key(row).live for row in same):
            raise InputError(
                "a name that no other key has", got=repr(name), remedy="revoke that one first"
            )
        listed = {"scopes": None if held is None else list(held)}
        session.add(ApiKeyRow(hash=_hash(secret), **columns(ApiKeyRow, key) | listed))
        detail = {"name": name, "expires_at": None if until is None else until.isoformat()}
        ws.audit.append(by, "key.create", key.id, detail | listed, session=session)
    return key, secret


def list_keys(ws: Workspace) -> list[ApiKey]:
    """All keys, oldest first, revoked and expired ones too."""
    with ws.db.reading() as session:
        rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id))
        return [_key(row) for row in rows]


def revoke_key(ws: Workspace, key: str, *, actor: str | None = None) -> ApiKey:
    """Revoke a key by its id, or by the name of a key that is not revoked; from then on nobody
    gets in with it. A second time changes nothing. Raises NotFound."""
    with ws.db.session() as session:
        query = select(ApiKeyRow).where(or_(ApiKeyRow.id == key, ApiKeyRow.name == key))
        row = session.scalars(query.order_by(ApiKeyRow.id.desc())).first()
        if row is None:
            known = session.scalars(select(ApiKeyRow.name).where(ApiKeyRow.revoked_at.is_(None)))
            raise NotFound("the id or name of a key", got=repr(key), remedy=nearest(key, known))
        if row.revoked_at is None:
            row.revoked_at = datetime.now(UTC)
            ws.audit.append(actor, "key.revoke", row.id, {"name": row.name}, session=session)
        return _key(row)


def check_key(ws: Workspace, secret: str) -> ApiKey | None:
    """Return the key that this secret opens, None when there is none that is still valid."""
    if not _SECRET.fullmatch(secret):
        return None
    hashed = _hash(secret)
    with ws.db.reading() as session:
        row = session.scalars(select(ApiKeyRow).where(ApiKeyRow.hash == hashed)).first()
        # The index has compared hashes, not secrets; this one does it in constant time.
        if row is None or not hmac.compare_digest(row.hash, hashed):
            return None
        key = _key(row)
    return key if key.live else None


def _key(row: ApiKeyRow) -> ApiKey:
    return record(ApiKey, row, scopes=None if row.scopes is None else tuple(row.scopes))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
