"""Harms: replies that a reviewer thinks could do harm. One that is not resolved blocks a release.

    harm = add_harm(ws, NewHarm(...))
    resolve_harm(ws, harm.id, "mara", "checked with the pharmacist: the dose is right")

``candidate`` is the evaluation whose reply it is. What was said about it is in clear only after
identifiers were taken out; the audit log holds ids alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from metier.core.errors import InputError, NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.records import Release
from metier.core.store.tables import EvaluationRow, HarmRow, QueueRow
from metier.core.workspace import Workspace

REASON_CHARS = 10
WITHDRAWN = "withdrawn by the reviewer"


@dataclass(frozen=True, slots=True)
class NewHarm:
    """A potential harm as it is reported: ``words`` say what could happen."""

    queue: str
    item_id: str
    assignment_id: str
    candidate: str
    person: str
    words: str


@dataclass(frozen=True, slots=True)
class Harm(NewHarm):
    """A potential harm as it is stored; ``resolution`` None: it is open."""

    id: str = ""
    created_at: datetime = datetime.min
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolution: str | None = None


def note_harm(ws: Workspace, new: NewHarm, session: Session) -> None:
    """Store what one answer says of harm by one candidate; said again it replaces the words, and
    what was withdrawn or resolved is open again if the words are others. Audited."""
    row = session.scalars(_of_answer(new.assignment_id, new.candidate)).first()
    if row is not None and row.words == new.words and row.resolution != WITHDRAWN:
        return
    if row is None:
        columns = {name: getattr(new, name) for name in NewHarm.__dataclass_fields__}
        row = HarmRow(id=new_id("harm"), created_at=datetime.now(UTC), **columns)
        session.add(row)
    row.words = new.words
    row.resolved_at = row.resolved_by = row.resolution = None
    session.flush()
    detail = {"queue": new.queue, "item": new.item_id, "candidate": new.candidate}
    ws.audit.append(new.person, "harm.report", row.id, detail, session=session)


def withdraw_harms(
    ws: Workspace,
    assignment_id: str,
    person: str,
    session: Session,
    keep: Collection[str] = (),
) -> None:
    """Close the open harms of an answer that no longer says so (all but those of ``keep``)."""
    query = select(HarmRow).where(
        HarmRow.assignment_id == assignment_id, HarmRow.resolved_at.is_(None)
    )
    for row in session.scalars(query):
        if row.candidate in keep:
            continue
        row.resolved_at, row.resolved_by, row.resolution = datetime.now(UTC), person, WITHDRAWN
        ws.audit.append(person, "harm.withdraw", row.id, {"item": row.item_id}, session=session)


def resolve_harm(ws: Workspace, harm_id: str, actor: str, reason: str) -> Harm:
    """Close a harm with the reason why it no longer blocks; the reason stays with it. Audited.

    ``reason`` must be without identifiers already. Raises InputError for one that is too short,
    NotFound for a harm that is not there or was resolved before.
    """
    reason = reason.strip()
    if len(reason) < REASON_CHARS:
        raise InputError(
            f"a reason of at least {REASON_CHARS} characters",
            got=f"{len(reason)} characters",
            remedy="say what was found, or what was changed",
        )
    with ws.db.session() as session:
        known = harm_id.isprintable()
        row = session.get(HarmRow, harm_id, with_for_update=True) if known else None
        if row is None or row.resolved_at is not None:
            got = f"{harm_id!r}, which is resolved" if row is not None else repr(harm_id)
            raise NotFound(
                "a harm that is open", got=got, remedy="`metier review harms` lists them"
            )
        row.resolved_at, row.resolved_by, row.resolution = datetime.now(UTC), actor, reason
        detail = {"queue": row.queue, "item": row.item_id, "candidate": row.candidate}
        ws.audit.append(actor, "harm.resolve", row.id, detail, session=session)
        session.flush()
        return record(Harm, row)


def list_harms(ws: Workspace, queue: str | None = None, *, unresolved: bool = False) -> list[Harm]:
    """Harms, oldest first: all, those of one panel, or only the open ones."""
    query = select(HarmRow).order_by(HarmRow.id)
    if queue is not None:
        query = query.where(HarmRow.queue == queue)
    if unresolved:
        query = query.where(HarmRow.resolved_at.is_(None))
    with ws.db.reading() as session:
        return [record(Harm, row) for row in session.scalars(query)]


def harms_in_the_way(ws: Workspace, release: Release) -> list[Harm]:
    """The open harms of every panel in which replies of the release's run were rated.

    Those of the other candidates count too: before somebody has looked, nobody knows whether the
    release would have done better.
    """
    with ws.db.reading() as session:
        own = set(
            session.scalars(select(EvaluationRow.id).where(EvaluationRow.run_id == release.run_id))
        ) | {release.evaluation_id}
        query = select(HarmRow).where(HarmRow.resolved_at.is_(None)).order_by(HarmRow.id)
        found = [record(Harm, row) for row in session.scalars(query)]
        panels = {name for name in {one.queue for one in found} if own & _rated(session, name)}
    return [one for one in found if one.queue in panels or one.candidate in own]


def _rated(session: Session, queue: str) -> set[str]:
    """The evaluations whose replies a panel rates."""
    row = session.get(QueueRow, queue)
    settings = (row.settings if row is not None else None) or {}
    return {str(one.get("evaluation")) for one in settings.get("candidates", ())}


def _of_answer(assignment_id: str, candidate: str) -> Select[HarmRow]:
    return select(HarmRow).where(
        HarmRow.assignment_id == assignment_id, HarmRow.candidate == candidate
    )
