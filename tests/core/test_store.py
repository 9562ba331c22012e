"""The tables equal their migrations, and the database's failures are told in words."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from metier.core.errors import Busy, IntegrityError, OutOfSpace, UserError
from metier.core.store import database as database_module
from metier.core.store.database import HEAD, MIGRATIONS, Database
from metier.core.store.tables import Base, RunRow, Setting, SourceRow, VersionRow

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))


def source(number: int, size: int = 0) -> dict[str, object]:
    return {
        "id": f"src_{number}",
        "path": "x" * size,
        "digest": "d",
        "rows": number,
        "created_at": NOON,
    }


def test_migrations_make_the_tables_that_the_code_has(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert database.revision() == HEAD


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrating_at_once_from_several_threads_happens_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    threads = [threading.Thread(target=one.migrate) for one in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.revision() for one in databases} == {HEAD}
    for one in databases:
        one.close()


def test_sqlite_is_set_to_keep_what_it_acknowledged(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.engine.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    database.close()


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.session() as session:
        database.insert_new(session, SourceRow, [source(1)])
        raise RuntimeError
    with database.reading() as session:
        assert session.get(SourceRow, "src_1") is None


def test_bulk_rows_that_are_known_are_left_as_they_are(database: Database) -> None:
    with database.session() as session:
        database.insert_new(session, SourceRow, [source(n) for n in range(5000)])
    with database.session() as session:
        database.insert_new(session, SourceRow, [source(1) | {"path": "other"}, source(5000)])
    with database.reading() as session:
        assert session.get_one(SourceRow, "src_1").path == ""
        assert session.get_one(SourceRow, "src_5000").rows == 5000


def test_moments_and_documents_come_back_equal(database: Database) -> None:
    card = {"b": [1, None, float("inf")], "a": "\ud83d\x00é"}
    empty = {"counts": {}, "splits": {}, "labels": [], "config": {}}
    with database.session() as session:
        at = {"created_at": NOON, "built_at": NOON}
        session.add(VersionRow(id="ver_1", hash="h", card=card, **at, **empty))
    with database.reading() as session:
        row = session.get_one(VersionRow, "ver_1")
    assert row.card == card
    assert list(row.card) == ["b", "a"]
    assert row.created_at == NOON
    assert row.created_at.tzinfo == UTC


def test_a_row_must_belong_to_something_that_exists(database: Database) -> None:
    orphan = RunRow(
        id="run_1", version_id="none", base="b", state="running", started_at=NOON, config={},
        summary={},
    )  # fmt: skip
    with pytest.raises(Exception, match=r"(?i)foreign key"), database.session() as session:
        session.add(orphan)


def test_a_full_disk_says_so_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    with database.session() as session:
        database.insert_new(session, SourceRow, [source(1)])
    with (
        pytest.raises(OutOfSpace, match="free some space"),
        database.session() as session,
    ):
        pages = session.execute(text("PRAGMA page_count")).scalar()
        session.execute(text(f"PRAGMA max_page_count = {pages}"))
        database.insert_new(session, SourceRow, [source(n, 4000) for n in range(2, 50)])
    database.close()
    with database.reading() as session:
        assert session.query(SourceRow).count() == 1
    database.close()


def test_a_database_that_stays_locked_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.05)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with database.reading() as session:  # readers do not wait
        assert session.get(Setting, "none") is None
    with (
        pytest.raises(Busy, match="another process is writing"),
        database.session() as session,
    ):
        database.insert_new(session, SourceRow, [source(1)])
    other.close()
    database.close()


def test_a_broken_file_and_a_server_that_is_away_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 1000)
    broken = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(IntegrityError, match="restore a backup"):
        broken.migrate()
    broken.close()
    away = Database("postgresql://someone:secret@127.0.0.1:1/none")
    with pytest.raises(UserError, match="a database that answers") as caught:
        away.migrate()
    assert "secret" not in str(caught.value)


def test_a_killed_transaction_leaves_nothing_and_an_acknowledged_one_all(
    database_url: str, database: Database
) -> None:
    code = (
        "import os, signal, sys\n"
        "from metier.core.store.database import Database\n"
        "from metier.core.store.tables import Setting\n"
        "db = Database(sys.argv[1])\n"
        "with db.session() as s:\n"
        "    db.insert_new(s, Setting, [{'name': f'a{n}', 'value': 'x'} for n in range(2500)])\n"
        "print('acknowledged', flush=True)\n"
        "with db.session() as s:\n"
        "    db.insert_new(s, Setting, [{'name': f'b{n}', 'value': 'x'} for n in range(2500)])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, database_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "acknowledged\n"
    with database.reading() as session:
        names = {row.name[0] for row in session.query(Setting)}
        assert names == {"a"}
        assert session.query(Setting).count() == 2500


def test_a_connection_that_the_server_ended_is_replaced(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "IDLE_S", 0.0)
    ours, another = Database(f"{postgres_server}/postgres"), Database(f"{postgres_server}/postgres")
    own = text("SELECT pg_backend_pid()")
    with ours.reading() as session:
        before = session.execute(own).scalar_one()
    with another.session() as session:
        assert session.execute(text("SELECT pg_terminate_backend(:n)"), {"n": before}).scalar_one()
    with ours.reading() as session:
        assert session.execute(own).scalar_one() != before
    ours.close()
    another.close()


def test_tables_of_a_newer_metier_are_refused_and_left_alone(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9999'"))
    newer = Database(database.url.render_as_string(hide_password=False))
    with pytest.raises(IntegrityError, match=r"got tables v9999(.|\n)*nothing was changed"):
        newer.migrate()
    newer.close()
    assert database.revision() == "v9999"
