"""Database: sessions on SQLite or PostgreSQL in which an acknowledged write is durable.

SQLite runs in WAL mode with ``synchronous=FULL`` and takes its write lock when a session begins
(``BEGIN IMMEDIATE``), so that a transaction never fails half-way because another one wrote first.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from metier.core.errors import Busy, IntegrityError, MetierError, UserError, disk_full
from metier.core.store.tables import Base
from metier.core.store.turns import Turns, TurnTimeout

HEAD = "v0006"
"""Newest migration; a test holds it equal to the newest file in ``migrations/versions``."""
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT_S = 30.0
CONNECTIONS, CONNECTIONS_MOST = 10, 40
"""Kept open, and at most: as many as a server has threads."""
IDLE_S = 5.0
"""A connection to PostgreSQL that nobody used for so long is tried before it is used."""
_USED = "used"
_MIGRATION_LOCK = 0x6D657469  # any constant: names the PostgreSQL advisory lock
_BULK_ROWS = 2000  # rows an INSERT; SQLite takes at most 32,766 parameters
_SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_SQLITE_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """One database, by SQLAlchemy URL: ``sqlite:///path`` or ``postgresql+psycopg://…``."""

    def __init__(self, url: str) -> None:
        self.url = _normal(url)
        self.engine = _engine(self.url)
        reading = self.engine.execution_options(**_reading_options(self.url))
        self._write = sessionmaker(self.engine, expire_on_commit=False)
        self._read = sessionmaker(reading, expire_on_commit=False)
        self._turns = Turns()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite (else PostgreSQL)."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises OutOfSpace on a full disk, Busy when another writer holds the database too long.
        """
        doing = "writing to the database"
        with self.errors(doing), self._turn(), self._write.begin() as session:
            yield session

    def _turn(self) -> AbstractContextManager[None]:
        """On SQLite the threads of this process write in the order in which they came."""
        return self._turns.turn(LOCK_TIMEOUT_S) if self.is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads; on SQLite it does not wait for writers.

        On SQLite all of it sees one state of the database, on PostgreSQL each statement its own.
        """
        with self.errors("reading the database"), self._read() as session:
            yield session

    def insert_new(
        self, session: Session, table: type[Base], rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """Insert rows in bulk, leaving out those that a unique key already has."""
        insert = sqlite_insert if self.is_sqlite else postgresql_insert
        left = iter(rows)
        while batch := [dict(row) for row in islice(left, _BULK_ROWS)]:
            session.execute(insert(table).on_conflict_do_nothing(), batch)

    def migrate(self) -> None:
        """Bring the tables to the newest schema; safe when several processes do it at once.

        Raises IntegrityError for tables that a newer metier has made.
        """
        here = self.revision()
        if here == HEAD:
            return
        if here is not None and here > HEAD:
            raise IntegrityError(
                f"a database made by this metier or an older one (tables up to {HEAD})",
                got=f"tables {here} at {self.url.render_as_string()}",
                remedy="install the metier that made it, or a newer one; nothing was changed",
            )
        with self.errors("migrating the database"), self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            _upgrade(connection)

    def revision(self) -> str | None:
        """The migration the database is at, or None when it is empty."""
        with self.errors("reading the database"), self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if revision is None else str(revision)

    def scrub(self) -> None:
        """On SQLite, fold the log into the file, so that no deleted content lingers in it."""
        if self.is_sqlite:
            with self.errors("scrubbing the database"):
                self._pragma("PRAGMA wal_checkpoint(TRUNCATE)")

    def _pragma(self, statement: str) -> None:
        """Run a statement that SQLite takes outside any transaction only."""
        with self.engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute(statement)
            raw.close()

    def compact(self) -> None:
        """Rewrite the file or the tables, so that nothing deleted lingers in unused pages."""
        with self.errors("compacting the database"):
            if self.is_sqlite:
                self._pragma("VACUUM")
            else:
                alone = self.engine.execution_options(isolation_level="AUTOCOMMIT")
                with alone.connect() as connection:
                    connection.execute(text("VACUUM FULL"))
        self.scrub()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn the drivers' errors that a user can fix into this project's."""
        try:
            yield
        except DBAPIError as error:
            known = _translate(error, doing, self.url)
            if known is None:
                raise
            raise known from error
        except (TurnTimeout, PoolTimeout) as error:
            raise _busy(doing) from error


def _normal(url: str) -> URL:
    made = make_url(url)
    if made.drivername in ("postgresql", "postgres"):
        made = made.set(drivername="postgresql+psycopg")
    return made


def _engine(url: URL) -> Engine:
    pool = {"pool_size": CONNECTIONS, "max_overflow": CONNECTIONS_MOST - CONNECTIONS}
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, **pool)
        event.listen(engine, "connect", _note_use)
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _refuse_if_dead)
        return engine
    engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S}, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _reading_options(url: URL) -> dict[str, str]:
    """PostgreSQL's own level (READ COMMITTED) shows every statement what is committed by then, in
    a transaction or not; without one a read costs one exchange with the server, not three."""
    if url.get_backend_name() == "sqlite":
        return {"sqlite_begin": "DEFERRED"}
    return {"isolation_level": "AUTOCOMMIT"}


def _note_use(_connection: Any, record: Any) -> None:
    record.info[_USED] = time.monotonic()


def _refuse_if_dead(connection: Any, record: Any, _proxy: Any) -> None:
    """Try a connection that was idle for long: the server may have been started anew since. One
    that was used just now is taken as it is, which saves most requests an exchange each."""
    if time.monotonic() - record.info[_USED] < IDLE_S:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except Exception as error:
        raise DisconnectionError from error  # the pool then opens another one


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would commit before DDL
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _translate(error: DBAPIError, doing: str, url: URL) -> MetierError | None:
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    state = getattr(cause, "sqlstate", None)
    if code in _SQLITE_FULL or state == "53100":
        return disk_full(doing)
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _busy(doing)
    if code is not None and code & 0xFF in _SQLITE_BROKEN:
        return IntegrityError(
            "a sound SQLite database", got=f"{url.database}: {cause}", remedy="restore a backup"
        )
    if isinstance(error, OperationalError) and (state is None or state.startswith("08")):
        return UserError(
            f"a database that answers at {url.render_as_string(hide_password=True)}",
            got=str(cause).strip(),
            remedy="check the store URL, and that the server is up and lets this user in",
        )
    return None


def _busy(doing: str) -> Busy:
    return Busy(
        f"the database to be free within {LOCK_TIMEOUT_S:.0f} s while {doing}",
        got="another process is writing to it",
        remedy="wait for the other command to end, or stop it, and try again",
    )


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
