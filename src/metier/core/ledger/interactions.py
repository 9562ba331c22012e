"""Served replies and what was said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError as UniqueViolation
from sqlalchemy.orm import Session

from metier.core.codec import from_json, to_json
from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.records import Feedback, Interaction
from metier.core.store.tables import FeedbackRow, InteractionRow
from metier.core.types import Conversation, Json
from metier.core.workspace import Workspace


def new_interaction_id() -> str:
    """Return the id of a reply, in the form that clients of the OpenAI API expect."""
    return new_id("chatcmpl").replace("_", "-", 1)


def save_interactions(
    ws: Workspace, rows: Sequence[Interaction], originals: Mapping[str, tuple[str, bytes]]
) -> None:
    """Store replies in one transaction; what is saved again under its id stays as it was.

    ``originals`` maps reply ids to (group, text to seal): what de-identification took out.
    """
    with ws.db.session() as session:
        sealed = ws.sealed.seal_many(list(originals.values()), session=session)
        boxes = dict(zip(originals, sealed, strict=True))
        ws.db.insert_new(
            session, InteractionRow, [_columns(one, boxes.get(one.id)) for one in rows]
        )


def get_interaction(ws: Workspace, interaction_id: str) -> Interaction:
    """Find a reply by its whole id. Raises NotFound."""
    with ws.db.reading() as session:
        return read_interaction(_get(session, interaction_id))


def get_interactions(ws: Workspace, ids: Sequence[str]) -> dict[str, Interaction]:
    """The replies with these ids; unknown ones are left out."""
    found: dict[str, Interaction] = {}
    with ws.db.reading() as session:
        for start in range(0, len(ids), 500):
            part = InteractionRow.id.in_(ids[start : start + 500])
            for row in session.scalars(select(InteractionRow).where(part)):
                found[row.id] = read_interaction(row)
    return found


def list_interactions(
    ws: Workspace, *, after: str = "", limit: int | None = None, release_id: str | None = None
) -> list[Interaction]:
    """Replies in the order they were made, those after the id ``after``."""
    query = select(InteractionRow).where(InteractionRow.id > after).order_by(InteractionRow.id)
    if release_id is not None:
        query = query.where(InteractionRow.release_id == release_id)
    with ws.db.reading() as session:
        return [read_interaction(row) for row in session.scalars(query.limit(limit))]


def count_interactions(ws: Workspace) -> dict[str | None, int]:
    """How many replies each release gave; None counts those of upstream models."""
    query = select(InteractionRow.release_id, func.count()).group_by(InteractionRow.release_id)
    with ws.db.reading() as session:
        return {release: count for release, count in session.execute(query)}


def add_feedback(
    ws: Workspace,
    interaction_id: str,
    metric: str,
    value: Json,
    *,
    tags: Mapping[str, str],
    actor: str,
    original: bytes | None = None,
) -> Feedback:
    """Store what was said about a reply, unless the same was said last: then that is returned.

    ``original`` is sealed beside it (what de-identification took out of a text). Raises NotFound
    for a reply that is not there.
    """
    while True:
        try:
            with ws.db.session() as session:
                return _add(ws, session, interaction_id, metric, value, dict(tags), actor, original)
        except UniqueViolation:  # another process took the number first: look again
            continue


def list_feedback(
    ws: Workspace, interaction_ids: Sequence[str] | None = None, *, history: bool = False
) -> list[Feedback]:
    """What was said, oldest first, about all replies or about these; with ``history`` also what
    was replaced since."""
    found: list[Feedback] = []
    with ws.db.reading() as session:
        query = select(FeedbackRow).order_by(FeedbackRow.id)
        if interaction_ids is None:
            found = [_feedback(row) for row in session.scalars(query)]
        else:
            for start in range(0, len(interaction_ids), 500):
                part = FeedbackRow.interaction_id.in_(interaction_ids[start : start + 500])
                found += [_feedback(row) for row in session.scalars(query.where(part))]
    if history:
        return found
    newest = {(one.interaction_id, one.metric): one for one in sorted(found, key=lambda f: f.seq)}
    return sorted(newest.values(), key=lambda one: one.id)


def _add(
    ws: Workspace,
    session: Session,
    interaction_id: str,
    metric: str,
    value: Json,
    tags: dict[str, str],
    actor: str,
    original: bytes | None,
) -> Feedback:
    interaction = _get(session, interaction_id)
    of = FeedbackRow.interaction_id == interaction_id, FeedbackRow.metric == metric
    last = session.scalars(select(FeedbackRow).where(*of).order_by(FeedbackRow.seq.desc())).first()
    boxed = {"value": value}
    if last is not None and (last.value, last.tags, last.actor) == (boxed, tags, actor):
        return _feedback(last)
    sealed = None
    if original is not None:
        group = interaction.user_hash or interaction_id
        sealed = ws.sealed.seal(group, original, session=session)
    row = FeedbackRow(
        id=new_id("fb"),
        created_at=datetime.now(UTC),
        interaction_id=interaction_id,
        metric=metric,
        seq=1 if last is None else last.seq + 1,
        value=boxed,
        tags=tags,
        actor=actor,
        sealed_id=sealed,
    )
    session.add(row)
    session.flush()
    return _feedback(row)


def _get(session: Session, interaction_id: str) -> InteractionRow:
    row = session.get(InteractionRow, interaction_id)
    if row is None:
        raise NotFound(
            "the id of a reply that was served here",
            got=repr(interaction_id),
            remedy="give the id that came with the reply",
        )
    return row


def _columns(one: Interaction, sealed_id: str | None) -> dict[str, Any]:
    return {
        "id": one.id,
        "created_at": one.created_at,
        "model": one.model,
        "release_id": one.release_id,
        "state": one.state,
        "asked": to_json(one.asked)["messages"],
        "replies": list(one.replies),
        "settings": to_json(one.settings),
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "total_s": one.total_s,
        "first_token_s": one.first_token_s,
        "confidence": one.confidence,
        "guards": list(one.guards),
        "user_hash": one.user,
        "sealed_id": sealed_id,
    }


def read_interaction(row: InteractionRow) -> Interaction:
    """The reply that a row holds."""
    changes = {
        "asked": from_json(Conversation, {"messages": row.asked}),
        "replies": tuple(row.replies),
        "guards": tuple(row.guards),
    }
    fields = {"user": row.user_hash, **changes}
    same = ("id", "created_at", "model", "release_id", "state", "settings", "input_tokens",
            "output_tokens", "total_s", "first_token_s", "confidence", "sealed_id")  # fmt: skip
    return Interaction(**{name: getattr(row, name) for name in same} | fields)


def _feedback(row: FeedbackRow) -> Feedback:
    return record(Feedback, row, value=row.value["value"])
