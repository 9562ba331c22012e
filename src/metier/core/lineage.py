"""Lineage: what was made from what, asked both ways.

    source -> example -> version -> run -> evaluation -> prediction

Edges are stored between the few large things (sources, versions, runs, evaluations, adapters);
what is many (the examples of a version, the predictions of an evaluation) is answered from its
index table, so that a version of 100,000 examples costs one edge per source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from metier.core.store.database import Database
from metier.core.store.tables import EdgeRow


@dataclass(frozen=True, slots=True)
class Ref:
    """One thing in the workspace: its kind (source, example, version, run, …) and id."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Edge:
    """``child`` was made from ``parent``; ``relation`` reads "child relation parent"."""

    child: Ref
    parent: Ref
    relation: str


class Lineage:
    """Records edges and follows them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(
        self,
        child: Ref,
        parents: Iterable[tuple[Ref, str]],
        *,
        session: Session | None = None,
    ) -> None:
        """Record what ``child`` was made from: (parent, relation) pairs."""
        self.record_many([Edge(child, parent, how) for parent, how in parents], session=session)

    def record_many(self, edges: Iterable[Edge], *, session: Session | None = None) -> None:
        """Record edges in bulk; those that are known already stay as they are."""
        if session is None:
            with self._db.session() as own:
                return self.record_many(edges, session=own)
        now = datetime.now(UTC)
        rows = [
            {
                "child_kind": edge.child.kind,
                "child_id": edge.child.id,
                "parent_kind": edge.parent.kind,
                "parent_id": edge.parent.id,
                "relation": edge.relation,
                "created_at": now,
            }
            for edge in edges
        ]
        self._db.insert_new(session, EdgeRow, rows)
