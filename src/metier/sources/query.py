r"""Rows of a database: one select, in a transaction that cannot write, streamed.

    path = "postgresql+psycopg://reader:$DB_PASSWORD@db/tickets"
    query = "select body, queue from tickets where closed order by id"

The database itself enforces that nothing is written (PostgreSQL: a read-only session and a
server-side cursor, which takes one select only; SQLite: opened read-only with an authorizer), which
is why no others are offered. The text of the query is checked first, for a clear message.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from metier.core.errors import InputError
from metier.core.types import Json
from metier.sources.addresses import opened_address, scheme, shown

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.exc import SQLAlchemyError

DATABASES = ("postgresql", "sqlite")
FETCHED_ROWS = 1_000
READS = ("select", "with", "values", "table")
# Constructs in which databases disagree on where a literal ends; then every ";" counts.
_UNCLEAR = re.compile(r"--|/\*|[\\$`\[#]")
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
_WRITE_STATES = ("25006", "0A000", "42501")
_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def is_database(path: str) -> bool:
    """Whether a source's path is the URL of a database metier can read."""
    return "://" in path and scheme(path) in DATABASES


def query_rows(
    path: str, query: str | None, root: Path, limit: int | None
) -> Iterator[Mapping[str, Json]]:
    """Yield the rows of a query, at most ``limit`` of them, in constant memory.

    Raises InputError for a query that writes or fails, and where the database cannot be reached;
    no message holds the password or a cell.
    """
    checked = checked_query(query, path)
    engine = _engine(path, root)
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                _forbid_writing(connection.connection.driver_connection)
            options: dict[str, Any] = {"no_parameters": True, "stream_results": True}
            connection = connection.execution_options(yield_per=FETCHED_ROWS, **options)
            with connection.exec_driver_sql(checked) as found:
                names = _distinct(tuple(found.keys()), path)
                for cells in islice(found, limit):
                    yield dict(zip(names, cells, strict=True))
    except SQLAlchemyError as error:
        _refuse(error, path)
    finally:
        engine.dispose()


def checked_query(query: str | None, path: str) -> str:
    """Return the query without a closing semicolon. Raises InputError when it is none, is several
    statements or begins with something other than a select."""
    text = (query or "").strip().removesuffix(";").strip()
    if not text:
        raise InputError(
            "a query beside the address of a database",
            got=shown(path),
            remedy='add query = "select … from … order by …"',
        )
    first = re.match(r"[\s(]*([A-Za-z]+)", text)
    if first is None or first[1].lower() not in READS:
        raise _writes(path, f"a query that begins with {text.split(maxsplit=1)[0][:20]!r}")
    outside = text if _UNCLEAR.search(text) else _LITERAL.sub("", text)
    if ";" in outside:
        raise _writes(path, "a query of several statements, or with a semicolon that may end one")
    return text


def _writes(path: str, got: str) -> InputError:
    return InputError(
        "a query that only reads: one select",
        got=f"{shown(path)}: {got}",
        remedy="write one select; what changes the database is not run",
    )


def _engine(path: str, root: Path) -> Engine:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    try:
        url = sqlalchemy.make_url(opened_address(path))
        if scheme(path) == "sqlite":
            file = _sqlite_file(url.database, path, root)
            return sqlalchemy.create_engine(
                "sqlite://", creator=lambda: sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
            )
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        options = "-c default_transaction_read_only=on"
        return sqlalchemy.create_engine(url, connect_args={"options": options}).execution_options(
            postgresql_readonly=True
        )
    except (ArgumentError, ValueError):
        got, remedy = "it cannot be read as one", "write postgresql+psycopg://user@host/database"
    except ImportError as error:
        got, remedy = f"no package {error.name}", "pip install 'metier[postgres]'"
    raise InputError("the address of a database", got=f"{shown(path)}: {got}", remedy=remedy)


def _sqlite_file(name: str | None, path: str, root: Path) -> Path:
    file = root.resolve() / (name or "")
    if not file.is_file():
        raise InputError(
            "a SQLite file that exists",
            got=f"{shown(path)}: {name or 'no file'}",
            remedy="sqlite:///tickets.db is beside metier.toml, sqlite:////data/x.db anywhere",
        )
    return file


def _forbid_writing(connection: Any) -> None:
    """Let SQLite refuse everything but reading, which also rules out ATTACH and PRAGMA."""

    def authorize(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY

    connection.set_authorizer(authorize)


def _distinct(names: tuple[str, ...], path: str) -> tuple[str, ...]:
    double = next((name for name in names if names.count(name) > 1), None)
    if double is None:
        return names
    raise InputError(
        "columns with names of their own",
        got=f"{shown(path)}: {double!r} twice",
        remedy=f"rename one in the query: … as {double}_2",
    )


def _refuse(error: SQLAlchemyError, path: str) -> NoReturn:
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", "") or "")
    said = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    if state in _WRITE_STATES or "not authorized" in said or "readonly" in said:
        raise _writes(path, f"one that does more ({said})") from None
    if state.startswith(("22", "23")):
        said = type(cause).__name__  # the message of a data error quotes the cell
    raise InputError(
        "a query that the database answers",
        got=f"{shown(path)}: {said}",
        remedy="try the query in the database's own client, with the same user",
    ) from None
