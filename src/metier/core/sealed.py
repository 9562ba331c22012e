"""Sealed rows: the only place where personal data lies in clear text, and it is encrypted.

Each group (a person, a case) has a random data key; the workspace's master key wraps it. Values
are AES-256-GCM. Erasing a group destroys its data key, and with it everything ever sealed for
it, in every backup made of the rows from then on. Group names are stored only as keyed hashes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from metier.core.artifacts import sync_directory
from metier.core.audit import Audit
from metier.core.errors import IntegrityError, NotFound
from metier.core.ids import new_id
from metier.core.store.database import Database
from metier.core.store.tables import SealedKeyRow, SealedRow, Setting

T = TypeVar("T")
KEY_VARIABLE = "METIER_KEY"
GROUP_HASH = re.compile(r"grp_[0-9a-f]{32}")
_CHECK = "key_check"
_NONCE = 12
_IN = 500  # ids in one IN (...)


class SealedStore:
    """Encrypts, opens and erases. ``key`` is the 32-byte master key.

    Raises IntegrityError when the database was sealed with another key.
    """

    def __init__(self, db: Database, key: bytes, audit: Audit) -> None:
        self._db, self._audit = db, audit
        self._wrapper = AESGCM(key)
        self._hash_key = hmac.digest(key, b"metier group hash", "sha256")
        self._key = key
        self._check(hmac.digest(key, b"metier key check", "sha256").hex())

    def group_hash(self, group: str) -> str:
        """The keyed hash that stands for a group's name; of such a hash, itself."""
        return hash_group(self._hash_key, group)

    @property
    def group_key(self) -> bytes:
        """What ``hash_group`` needs where there is no store: in the processes of a step."""
        return self._hash_key

    def derive(self, purpose: str) -> bytes:
        """Return a 32-byte key for one purpose, from which the master key cannot be had."""
        return hmac.digest(self._key, f"metier {purpose}".encode(), "sha256")

    def seal(self, group: str, value: bytes, *, session: Session | None = None) -> str:
        """Encrypt ``value`` under the group's key and return the row's id."""
        return self.seal_many([(group, value)], session=session)[0]

    def seal_many(
        self, items: Sequence[tuple[str, bytes]], *, session: Session | None = None
    ) -> list[str]:
        """Seal (group, value) pairs in one transaction; ids come in the order of the items."""
        if session is None:
            with self._db.session() as own:
                return self.seal_many(items, session=own)
        hashes = [self.group_hash(group) for group, _ in items]
        keys = self._live_keys(session, sorted(set(hashes)))
        now, rows = datetime.now(UTC), []
        for found, (_, value) in zip(hashes, items, strict=True):
            key_id, cipher = keys[found]
            row_id = new_id("seal")
            box = _encrypt(cipher, value, row_id)
            rows.append({"id": row_id, "key_id": key_id, "box": box, "created_at": now})
        self._db.insert_new(session, SealedRow, rows)
        return [str(row["id"]) for row in rows]

    def open(self, row_id: str, *, actor: str | None, purpose: str) -> bytes:
        """Decrypt one row; who opened it and why is in the audit log before it is handed out.

        Raises NotFound when the row is unknown or erased, IntegrityError when it was tampered
        with.
        """
        return self.open_many([row_id], actor=actor, purpose=purpose)[row_id]

    def open_many(
        self, row_ids: Sequence[str], *, actor: str | None, purpose: str
    ) -> dict[str, bytes]:
        """Decrypt rows under one audit entry. Raises as ``open`` does."""
        with self._db.session() as session:
            opened = {row_id: b"" for row_id in row_ids}
            for part in _parts(row_ids):
                query = (
                    select(SealedRow, SealedKeyRow).join(SealedKeyRow).where(SealedRow.id.in_(part))
                )
                for row, key in session.execute(query):
                    opened[row.id] = self._decrypt(row, key)
                    part.remove(row.id)
                if part:
                    raise NotFound("a sealed row", got=part[0], remedy="check the id")
            self._audit.append(
                actor,
                "sealed.open",
                row_ids[0] if len(row_ids) == 1 else f"{len(row_ids)} rows",
                {"purpose": purpose, "rows": list(row_ids)},
                session=session,
            )
        return opened

    def unerased(self, row_ids: Sequence[str]) -> set[str]:
        """Return those of the rows that still hold their value; nothing is opened."""
        found: set[str] = set()
        with self._db.reading() as session:
            for part in _parts(row_ids):
                query = select(SealedRow.id).where(
                    SealedRow.id.in_(part), SealedRow.box.is_not(None)
                )
                found.update(session.scalars(query.where(SealedRow.box.is_not(None))))
        return found

    def erase_group(self, group: str, *, actor: str | None = None, reason: str = "") -> int:
        """Destroy the group's key and every value sealed with it; return how many there were.

        Within PostgreSQL the old row version lives on until VACUUM, and in its backups.
        """
        found = self.group_hash(group)
        with self._db.session() as session:
            live = SealedKeyRow.group_hash == found, SealedKeyRow.erased_at.is_(None)
            ids = list(session.scalars(select(SealedKeyRow.id).where(*live)))
            now = datetime.now(UTC)
            emptied = session.execute(
                update(SealedRow).where(SealedRow.key_id.in_(ids)).values(box=None)
            )
            session.execute(
                update(SealedKeyRow)
                .where(SealedKeyRow.id.in_(ids))
                .values(wrapped=None, erased_at=now)
            )
            count = int(getattr(emptied, "rowcount", 0))
            self._audit.append(
                actor, "sealed.erase", found, {"rows": count, "reason": reason}, session=session
            )
        self._db.scrub()
        return count

    def _decrypt(self, row: SealedRow, key: SealedKeyRow) -> bytes:
        if key.wrapped is None or row.box is None:
            raise NotFound(
                "a sealed row that still exists",
                got=f"{row.id}, erased at {key.erased_at}",
                remedy="nothing: erasure cannot be undone",
            )
        try:
            cipher = AESGCM(_open_box(self._wrapper, key.wrapped, key.id + key.group_hash))
            return _open_box(cipher, row.box, row.id)
        except InvalidTag as error:
            raise IntegrityError(
                "a sealed row that the workspace's key opens",
                got=f"{row.id}, which was changed or sealed with another key",
                remedy="restore the database from a backup",
            ) from error

    def _live_keys(self, session: Session, hashes: Sequence[str]) -> dict[str, tuple[str, AESGCM]]:
        found = self._read_keys(session, hashes)
        missing = [one for one in hashes if one not in found]
        now = datetime.now(UTC)
        rows = []
        for one in missing:
            key_id = new_id("key")
            wrapped = _encrypt(self._wrapper, AESGCM.generate_key(256), key_id + one)
            rows.append({"id": key_id, "group_hash": one, "wrapped": wrapped, "created_at": now})
        self._db.insert_new(session, SealedKeyRow, rows)
        # Read back: another process may have made the same group's key first.
        return found | self._read_keys(session, missing)

    def _read_keys(self, session: Session, hashes: Sequence[str]) -> dict[str, tuple[str, AESGCM]]:
        found: dict[str, tuple[str, AESGCM]] = {}
        for part in _parts(hashes):
            query = select(SealedKeyRow).where(
                SealedKeyRow.group_hash.in_(part), SealedKeyRow.erased_at.is_(None)
            )
            for row in session.scalars(query):
                key = _open_box(self._wrapper, row.wrapped or b"", row.id + row.group_hash)
                found[row.group_hash] = (row.id, AESGCM(key))
        return found

    def _check(self, value: str) -> None:
        with self._db.reading() as session:
            known = session.get(Setting, _CHECK)
        if known is None:
            with self._db.session() as session:
                self._db.insert_new(session, Setting, [{"name": _CHECK, "value": value}])
            self._check(value)
        elif not hmac.compare_digest(known.value, value):
            raise IntegrityError(
                "the key this workspace was made with",
                got=f"another one in .metier/key or {KEY_VARIABLE}",
                remedy="copy .metier/key from where the workspace was made; without it the "
                "sealed rows stay closed",
            )


def hash_group(group_key: bytes, group: str) -> str:
    """The keyed hash that stands for a group's name; of such a hash, itself."""
    if GROUP_HASH.fullmatch(group):
        return group
    found = hmac.digest(group_key, group.encode("utf-8", "surrogatepass"), "sha256")
    return "grp_" + found.hex()[:32]


def has_key_check(db: Database) -> bool:
    """Whether the database was used with a key already."""
    with db.reading() as session:
        return session.get(Setting, _CHECK) is not None


def load_key(path: Path, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Read the master key from METIER_KEY or else ``path``; None when there is neither.

    Raises IntegrityError when it is not base64 of 32 bytes.
    """
    text, place = environment.get(KEY_VARIABLE), KEY_VARIABLE
    if not text:
        if not path.exists():
            return None
        text, place = path.read_text(encoding="ascii", errors="replace"), str(path)
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise IntegrityError(
            "a key of 32 bytes in base64", got=f"something else in {place}",
            remedy="restore the key from where the workspace was made",
        )  # fmt: skip
    return key


def make_key(path: Path) -> bytes:
    """Make a key file (mode 0600) and return the key; of two at once, both get the first's."""
    partial = path.with_name(f".{new_id('key')}.tmp")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with io.FileIO(descriptor, "w") as sink:
        sink.write(base64.b64encode(os.urandom(32)) + b"\n")
        os.fsync(descriptor)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    sync_directory(path.parent)
    key = load_key(path, {})
    if key is None:
        raise IntegrityError("the key just made", got=f"nothing at {path}")
    return key


def _encrypt(cipher: AESGCM, value: bytes, bound_to: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, value, bound_to.encode())


def _open_box(cipher: AESGCM, box: bytes, bound_to: str) -> bytes:
    return cipher.decrypt(box[:_NONCE], box[_NONCE:], bound_to.encode())


def _parts(ids: Iterable[T]) -> Iterator[list[T]]:
    ids = list(ids)
    for start in range(0, len(ids), _IN):
        yield ids[start : start + _IN]
