"""Cases: failures of served models with the right answer, and the cycles that learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metier.core.codec import from_json, to_json
from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import columns, record
from metier.core.records import Case, Cycle
from metier.core.store.tables import CaseRow, CycleRow
from metier.core.types import Example
from metier.core.workspace import Workspace


def save_cases(ws: Workspace, cases: Sequence[Case], *, session: Session | None = None) -> None:
    """Store cases; an example that is a case already stays as it was. Groups are hashed."""
    if session is None:
        with ws.db.session() as own:
            return save_cases(ws, cases, session=own)
    ws.db.insert_new(session, CaseRow, [_case_columns(ws, case) for case in cases])


def list_cases(ws: Workspace) -> list[Case]:
    """All cases, oldest first."""
    query = select(CaseRow).order_by(CaseRow.created_at, CaseRow.example_id)
    with ws.db.reading() as session:
        return [_case(row) for row in session.scalars(query)]


def start_cycle(ws: Workspace, asked: str) -> Cycle:
    """Begin the next cycle."""
    with ws.db.session() as session:
        last = session.scalar(select(func.max(CycleRow.number))) or 0
        cycle = Cycle(new_id("cyc"), last + 1, datetime.now(UTC), None, asked)
        session.add(CycleRow(**columns(CycleRow, cycle)))
    return cycle


def update_cycle(ws: Workspace, cycle: Cycle) -> Cycle:
    """Store what a cycle's stages left since it was read. Raises NotFound."""
    with ws.db.session() as session:
        row = session.get(CycleRow, cycle.id)
        if row is None:
            raise NotFound("a cycle", got=cycle.id)
        for name, value in columns(CycleRow, cycle).items():
            setattr(row, name, value)
    return cycle


def finish_cycle(ws: Workspace, cycle: Cycle) -> Cycle:
    """Note that a cycle is complete."""
    return update_cycle(ws, replace(cycle, finished_at=datetime.now(UTC)))


def list_cycles(ws: Workspace) -> list[Cycle]:
    """All cycles, first to last."""
    with ws.db.reading() as session:
        rows = session.scalars(select(CycleRow).order_by(CycleRow.number))
        return [record(Cycle, row) for row in rows]


def _case_columns(ws: Workspace, case: Case) -> dict[str, Any]:
    group = case.example.group
    keyed = case.example if group is None else replace(
        case.example, group=ws.sealed.group_hash(group)
    )  # fmt: skip
    return {
        "example_id": keyed.id,
        "created_at": case.created_at,
        "interaction_id": case.interaction_id,
        "item_id": case.item_id,
        "release_id": case.release_id,
        "held_back": case.held_back,
        "failed": case.failed,
        "example": to_json(keyed),
    }


def _case(row: CaseRow) -> Case:
    return Case(
        example=from_json(Example, row.example),
        created_at=row.created_at,
        interaction_id=row.interaction_id,
        item_id=row.item_id,
        release_id=row.release_id,
        held_back=row.held_back,
        failed=row.failed,
    )
