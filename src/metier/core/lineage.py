"""Lineage: what was made from what, asked both ways.

    source -> example -> version -> run -> evaluation -> prediction
    version -> run -> release -> reply -> feedback, queue item -> example (case) -> version -> ...

Edges are stored between the few large things (sources, versions, runs, evaluations, adapters,
releases); what is many (the examples of a version, the predictions of an evaluation, the replies
of a release and what was said about them) is answered from its table, so that a version of
100,000 examples costs one edge per source.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from metier.core.refs import Direction, Edge, Node, Ref
from metier.core.store.database import Database
from metier.core.store.tables import EdgeRow
from metier.core.trace import Trace, find_ref

__all__ = ["Direction", "Edge", "Lineage", "Node", "Ref"]


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

    def resolve(self, key: str) -> Ref:
        """Find what an id, or an unambiguous beginning of one, names. Raises NotFound."""
        with self._db.reading() as session:
            return find_ref(session, key)

    def trace(self, key: str, direction: Direction = "up") -> list[Node]:
        """Follow what a thing was made from ("up") or what was made from it ("down").

        Nodes come depth first, each thing once, beginning with the thing itself. Going down from
        an example leads through the versions that hold it to the runs that learned from it (not
        those of versions that only measure on it) and the predictions about it; going down from a
        reply leads to what was said about it and, where it was corrected, to that example.
        Raises NotFound.
        """
        with self._db.reading() as session:
            return Trace(session, direction).walk(find_ref(session, key))
