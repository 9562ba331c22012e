"""How the ledger finds a row by id, by prefix or as the latest."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from metier.core.errors import NotFound
from metier.core.store.tables import Base

Row = TypeVar("Row", bound=Base)
LATEST = "latest"


def find(session: Session, table: type[Row], key: str, what: str, verb: str) -> Row:
    """Return the row with that id, the only one whose id begins so, or the latest.

    Raises NotFound that names ``what`` is missing and the command (``verb``) that makes one.
    """
    column = inspect(table).primary_key[0]
    newest = select(table).order_by(column.desc()).limit(2)
    if key == LATEST:
        rows = session.scalars(newest.limit(1)).all()
    else:
        exact = session.get(table, key)
        prefixed = newest.where(column.startswith(key, autoescape=True))
        rows = [exact] if exact is not None else session.scalars(prefixed).all() if key else []
    if len(rows) == 1:
        return rows[0]
    if rows:
        ids = " and ".join(str(getattr(row, str(column.key))) for row in rows)
        raise NotFound(f"one {what}", got=f"{key!r}, which begins {ids}", remedy="give more of it")
    got = "none so far" if key == LATEST else f"no id that begins with {key!r}"
    raise NotFound(f"a {what}", got=got, remedy=f"make one with `{verb}`, or check the id")


def columns(table: type[Base], record: Any) -> dict[str, Any]:
    """The record's attributes that are columns of ``table``."""
    return {column.key: getattr(record, column.key) for column in inspect(table).columns}
