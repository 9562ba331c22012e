"""Served replies a page at a time, newest first, with the filters of the list of replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session, aliased

from metier.core.ledger.interactions import read_interaction
from metier.core.records import Interaction
from metier.core.store.tables import FeedbackRow, InteractionRow
from metier.core.workspace import Workspace

MOST_SEARCHED = 20_000
"""Replies that one search looks through before it says where to go on."""
_BATCH = 500


@dataclass(frozen=True, slots=True)
class ReplyFilter:
    """Which replies are wanted: those with less confidence, of which something was said, or of
    which a metric's newest value is at most ``bad_when`` says; and those that hold the words."""

    confidence_below: float | None = None
    said: bool = False
    bad_when: Mapping[str, float] | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class ReplyPage:
    """Replies, newest first; ``before`` is where to go on (None: the end)."""

    rows: tuple[Interaction, ...]
    before: str | None


def page_interactions(
    ws: Workspace, wanted: ReplyFilter = ReplyFilter(), *, before: str = "", limit: int = 50
) -> ReplyPage:
    """Return up to ``limit`` replies that were made before the one with the id ``before``."""
    found: list[Interaction] = []
    at, searched = before, 0
    with ws.db.reading() as session:
        claims = _claims(session, wanted)
        while searched < MOST_SEARCHED:
            batch = _batch(session, claims, at, _BATCH if wanted.words else limit + 1)
            for one in batch:
                if not holds(one, wanted.words):
                    continue
                if len(found) == limit:
                    return ReplyPage(tuple(found), found[-1].id)
                found.append(one)
            searched += len(batch)
            if len(batch) < (_BATCH if wanted.words else limit + 1):
                return ReplyPage(tuple(found), None)
            at = batch[-1].id
    return ReplyPage(tuple(found), at)


def count_replies(ws: Workspace, wanted: ReplyFilter = ReplyFilter()) -> int:
    """Return how many replies pass the filter, its words aside."""
    with ws.db.reading() as session:
        query = select(func.count()).select_from(InteractionRow)
        return session.scalar(query.where(*_claims(session, wanted))) or 0


def holds(reply: Interaction, words: str) -> bool:
    """Whether a reply or what was asked holds the words, in any case."""
    return not words or words.casefold() in "\n".join((reply.asked.text, *reply.replies)).casefold()


def _batch(
    session: Session, claims: list[ColumnElement[bool]], before: str, limit: int
) -> list[Interaction]:
    query = select(InteractionRow).where(*claims).order_by(InteractionRow.id.desc())
    if before:
        query = query.where(InteractionRow.id < before)
    return [read_interaction(row) for row in session.scalars(query.limit(limit))]


def _claims(session: Session, wanted: ReplyFilter) -> list[ColumnElement[bool]]:
    claims: list[ColumnElement[bool]] = []
    if wanted.confidence_below is not None:
        claims.append(InteractionRow.confidence < wanted.confidence_below)
    if wanted.said:
        claims.append(exists().where(FeedbackRow.interaction_id == InteractionRow.id))
    if wanted.bad_when is not None:
        claims.append(_bad(session, wanted.bad_when))
    return claims


def _bad(session: Session, bad_when: Mapping[str, float]) -> ColumnElement[bool]:
    """What calls a reply bad. There are few different values (yes, no, marks), so they are judged
    one by one here and compared by the database."""
    row, newer = FeedbackRow, aliased(FeedbackRow)
    known = select(row.metric, row.value).where(row.metric.in_(bad_when)).distinct()
    bad = [
        and_(row.metric == metric, row.value == value)
        for metric, value in session.execute(known)
        if _at_most(value["value"], bad_when[metric])
    ]
    replaced = exists().where(
        newer.interaction_id == row.interaction_id,
        newer.metric == row.metric,
        newer.seq > row.seq,
    )
    said = (row.interaction_id == InteractionRow.id, or_(false(), *bad), ~replaced)
    return exists().where(*said)


def _at_most(value: Any, limit: float) -> bool:
    return isinstance(value, bool | int | float) and float(value) <= limit
