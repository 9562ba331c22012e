"""Rehearsals: what is written is checked as ever, and taken back before anybody sees it.

    shut = disable_person(rehearsed(workspace), "mara@example.org", actor)

For ``--dry-run`` of verbs that write to the database alone and in whole transactions: every rule
and every unique key is tried, so that a rehearsal fails where the real thing would. Files and
artifacts are not taken back.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy.orm import Session

from metier.core.audit import Audit
from metier.core.lineage import Lineage
from metier.core.store.database import Database
from metier.core.workspace import Workspace


def rehearsed(ws: Workspace) -> Workspace:
    """The workspace as it is, in which every transaction is taken back at its end."""
    found = copy.copy(ws)
    found.db = cast(Database, _TakenBack(ws.db))
    found.audit, found.lineage = Audit(found.db), Lineage(found.db)
    return found


class _TakenBack:
    def __init__(self, db: Database) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self._db.session() as session:
            yield session
            session.flush()  # unique keys are tried here
            session.rollback()
