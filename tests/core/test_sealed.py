"""Sealed rows open only with the key, are audited, and die with their group."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import update

from metier.core.audit import Audit
from metier.core.errors import IntegrityError, NotFound
from metier.core.sealed import SealedStore, load_key, make_key
from metier.core.store.database import Database
from metier.core.store.tables import SealedKeyRow, SealedRow

KEY = bytes(range(32))


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database)


@pytest.fixture
def sealed(database: Database, audit: Audit) -> SealedStore:
    return SealedStore(database, KEY, audit)


def test_a_value_opens_again_and_the_opening_is_on_record(
    sealed: SealedStore, audit: Audit
) -> None:
    row = sealed.seal("Ann Smith", b"born 1950")
    assert sealed.open(row, actor="mara", purpose="appeal") == b"born 1950"
    [entry] = audit.entries()
    assert (entry.actor, entry.action, entry.subject) == ("mara", "sealed.open", row)
    assert entry.detail["purpose"] == "appeal"


def test_neither_value_nor_name_lies_in_clear(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    sealed = SealedStore(database, KEY, Audit(database))
    sealed.open(sealed.seal("Ann Smith", b"born 1950"), actor="mara", purpose="p")
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("x.db*"))
    assert b"Ann Smith" not in stored
    assert b"born 1950" not in stored
    assert sealed.group_hash("Ann Smith").encode() in stored
    database.close()


def test_group_hashes_are_keyed_and_stand_for_themselves(
    sealed: SealedStore, tmp_path: Path
) -> None:
    mine = sealed.group_hash("Ann")
    other_db = Database(f"sqlite:///{tmp_path / 'other.db'}")
    other_db.migrate()
    other = SealedStore(other_db, b"k" * 32, Audit(other_db))
    assert mine != other.group_hash("Ann")
    assert sealed.group_hash(mine) == mine
    assert sealed.group_hash("\ud83d") != sealed.group_hash("")
    other_db.close()


def test_many_are_sealed_at_once_under_one_key_a_group(
    sealed: SealedStore, database: Database
) -> None:
    items = [(f"g{n % 700}", str(n).encode()) for n in range(1500)]
    rows = sealed.seal_many(items)
    opened = sealed.open_many(rows, actor=None, purpose="test")
    assert [opened[row] for row in rows] == [value for _, value in items]
    with database.reading() as session:
        assert session.query(SealedKeyRow).count() == 700


def test_erasing_a_group_ends_it_and_nothing_else(sealed: SealedStore, audit: Audit) -> None:
    ann, bob = sealed.seal("Ann", b"a"), sealed.seal("Bob", b"b")
    assert sealed.erase_group("Ann", actor="mara", reason="asked to be forgotten") == 1
    with pytest.raises(NotFound, match="erased at"):
        sealed.open(ann, actor="mara", purpose="p")
    assert sealed.open(bob, actor="mara", purpose="p") == b"b"
    again = sealed.seal("Ann", b"new")
    assert sealed.open(again, actor="mara", purpose="p") == b"new"
    assert audit.entries()[0].subject == sealed.group_hash("Ann")
    assert audit.verify().ok


def test_an_erased_key_is_gone_from_the_files(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    sealed = SealedStore(database, KEY, Audit(database))
    sealed.seal("Ann", b"a")
    with database.reading() as session:
        wrapped = session.query(SealedKeyRow).one().wrapped
    assert wrapped is not None
    sealed.erase_group("Ann")
    assert wrapped not in b"".join(path.read_bytes() for path in tmp_path.glob("x.db*"))
    database.close()


def test_another_key_is_refused_at_once(sealed: SealedStore, database: Database) -> None:
    with pytest.raises(IntegrityError, match="the key this workspace was made with"):
        SealedStore(database, b"x" * 32, Audit(database))


@pytest.mark.parametrize("table", [SealedRow, SealedKeyRow])
def test_a_row_that_was_tampered_with_does_not_open(
    table: type[SealedRow | SealedKeyRow], sealed: SealedStore, database: Database, audit: Audit
) -> None:
    row = sealed.seal("Ann", b"a")
    column = "box" if table is SealedRow else "wrapped"
    with database.session() as session:
        session.execute(update(table).values({column: bytes(60)}))
    with pytest.raises(IntegrityError, match="changed or sealed with another key"):
        sealed.open(row, actor="mara", purpose="p")
    assert audit.entries() == []


def test_rows_cannot_be_swapped(sealed: SealedStore, database: Database) -> None:
    first, second = sealed.seal_many([("Ann", b"one"), ("Ann", b"two")])
    with database.session() as session:
        a, b = session.get_one(SealedRow, first), session.get_one(SealedRow, second)
        a.box, b.box = b.box, a.box
    with pytest.raises(IntegrityError):
        sealed.open(first, actor="mara", purpose="p")


def test_an_unknown_row_is_not_found(sealed: SealedStore) -> None:
    with pytest.raises(NotFound, match="seal_none"):
        sealed.open("seal_none", actor="mara", purpose="p")


def test_sealing_nothing_is_nothing(sealed: SealedStore) -> None:
    assert sealed.seal_many([]) == []


def test_the_key_file_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert make_key(path) == key == load_key(path, {})
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    given = {"METIER_KEY": base64.b64encode(KEY).decode()}
    assert load_key(tmp_path / "key", given) == KEY
    assert load_key(tmp_path / "none", {}) is None
    with pytest.raises(IntegrityError, match="something else in METIER_KEY"):
        load_key(tmp_path / "key", {"METIER_KEY": "c2hvcnQ="})
    (tmp_path / "key").write_text("é not base64")
    with pytest.raises(IntegrityError, match=r"32 bytes in base64"):
        load_key(tmp_path / "key", {})
