"""How the ledger finds a row by id, by prefix or as the latest."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from metier.core.errors import NotFound
from metier.core.store.tables import Base

Row = TypeVar("Row", bound=Base)
LATEST = "latest"

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def find(session: Session, table: type[Row], key: str, what: str, verb: str) -> Row:
    """Return the row with that id, the only one whose id begins so, or the latest.

    Raises NotFound that names ``what`` is missing and the command (``verb``) that makes one.
    """
    mapped = inspect(table)
    column = mapped.primary_key[0]
    newest = select(table).order_by(column.desc()).limit(2)
    if key == LATEST:
        last = mapped.columns.get("built_at", column)
        rows = session.scalars(select(table).order_by(last.desc(), column.desc()).limit(1)).all()
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
    article = "an" if what[0] in "aeiou" else "a"
    raise NotFound(f"{article} {what}", got=got, remedy=f"make one with `{verb}`, or check the id")


def columns(table: type[Base], record: Any) -> dict[str, Any]:
    """The record's attributes that are columns of ``table``."""
    names = [str(column.key) for column in inspect(table).columns]
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


def record(kind: type[Record], row: Base, /, **changes: Any) -> Record:
    """The dataclass ``kind`` made of a row's columns of the same names."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: getattr(row, name) for name in names} | changes)
