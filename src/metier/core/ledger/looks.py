"""Whose looks at a test set are counted together.

A budget of looks belongs to the test items, whatever labels they have. Versions with the same test
set share it, and so does a version that was made from another: relabelled by people, or without
some of its rows.
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.core.store.tables import EdgeRow, VersionRow

_VERSION = "version"


def test_sets(session: Session) -> dict[str, str]:
    """The test set of every version: its artifact; of a version without one, the version's id."""
    known = session.execute(select(VersionRow.id, VersionRow.splits))
    return {row.id: row.splits.get("test") or row.id for row in known}


def sharing_looks(session: Session, version_id: str) -> list[str]:
    """The ids of the versions that share the looks of one, itself among them, first to last."""
    near: dict[str, set[str]] = defaultdict(set)
    both = EdgeRow.child_kind == _VERSION, EdgeRow.parent_kind == _VERSION
    edges = session.execute(select(EdgeRow.child_id, EdgeRow.parent_id).where(*both))
    made = [(child, parent) for child, parent in edges]
    sets = test_sets(session)
    for one, other in [*made, *sets.items()]:
        near[one].add(other)
        near[other].add(one)
    found, waiting = {version_id}, [version_id]
    while waiting:
        new = near[waiting.pop()] - found
        found |= new
        waiting += new
    return sorted(one for one in found if one in sets)


def share_looks(session: Session, version_id: str) -> list[VersionRow]:
    """Give a version and those that share its looks the most that any of them spent, and the budget
    of the first; return them, locked for writing."""
    query = select(VersionRow).where(VersionRow.id.in_(sharing_looks(session, version_id)))
    locked = query.with_for_update().execution_options(populate_existing=True)
    rows = list(session.scalars(locked.order_by(VersionRow.id)))
    spent = max(one.looks_used for one in rows)
    for one in rows:
        one.looks_used, one.looks_budget = spent, rows[0].looks_budget
    return rows
