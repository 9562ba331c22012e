"""Retention: what ``[privacy.retention]`` no longer keeps is forgotten, kind by kind.

kind            counted from             what goes
views           the view                 who looked at what; the chain keeps an anchor
logins          the login's end          the row
login_failures  the try                  the row, a keyed hash
invitations     when it could be used    the row, once it is used, over or taken back
                last
drafts          when the lease ended     the unfinished answer
interactions    the reply                its texts, texts said of it, and what was sealed of it;
                                         one that people still are to look at stays until then

What was learned from a reply (a case, a label) is data of its own and stays. Erasing a person is
``metier data erase``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from metier.core.store.tables import (
    AssignmentRow,
    FeedbackRow,
    InteractionRow,
    InvitationRow,
    LoginFailureRow,
    LoginRow,
    QueueItemRow,
    SealedRow,
)
from metier.core.workspace import Workspace
from metier.privacy.config import RetentionConfig

MARK = "[forgotten]"
FORGOTTEN = "erased"
_BATCH = 500
_CLOSED = ("done", "skipped")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One kind of data: for how many ``days`` it is kept (None: for ever) and how many of it were,
    or would be, forgotten."""

    kind: str
    days: float | None
    count: int


def apply_retention(
    ws: Workspace, config: RetentionConfig, actor: str | None = None, *, dry_run: bool = False
) -> list[Forgotten]:
    """Forget what is kept no longer; with ``dry_run`` only count it. May be repeated: what was
    interrupted goes on."""
    now, found = datetime.now(UTC), []
    for kind, days in config.model_dump().items():
        count = 0
        if days is not None:
            moment = now - timedelta(days=days)
            count = _count(ws, kind, moment) if dry_run else _forget(ws, kind, moment, actor)
        found.append(Forgotten(kind, days, count))
    gone = {one.kind: one.count for one in found if one.count}
    if gone and not dry_run:
        ws.audit.append(actor, "retention.apply", "privacy.retention", gone)
        ws.db.scrub()
    return found


def _count(ws: Workspace, kind: str, moment: datetime) -> int:
    if kind == "views":
        return ws.audit.count_views_before(moment)
    with ws.db.reading() as session:
        found = KINDS[kind].which(moment).subquery()
        return session.scalar(select(func.count()).select_from(found)) or 0


def _forget(ws: Workspace, kind: str, moment: datetime, actor: str | None) -> int:
    if kind == "views":
        return ws.audit.forget_before(moment, actor)
    total = 0
    while True:
        with ws.db.session() as session:
            ids = list(session.scalars(KINDS[kind].which(moment).limit(_BATCH)))
            if ids:
                KINDS[kind].forget(session, ids)
        total += len(ids)
        if len(ids) < _BATCH:
            return total


def _old_logins(moment: datetime) -> Select[Any]:
    over = func.coalesce(LoginRow.ended_at, LoginRow.expires_at)
    return select(LoginRow.hash).where(over < moment)


def _old_tries(moment: datetime) -> Select[Any]:
    return select(LoginFailureRow.id).where(LoginFailureRow.at < moment)


def _old_invitations(moment: datetime) -> Select[Any]:
    row = InvitationRow
    over = or_(row.used_at < moment, row.revoked_at < moment, row.expires_at < moment)
    return select(row.id).where(over)


def _old_drafts(moment: datetime) -> Select[Any]:
    row = AssignmentRow
    since = func.coalesce(row.lease_until, row.created_at)
    return select(row.id).where(row.draft.is_not(None), row.state != "done", since < moment)


def _old_replies(moment: datetime) -> Select[Any]:
    row = InteractionRow
    waiting = select(QueueItemRow.subject_id).where(QueueItemRow.state.not_in(_CLOSED))
    old = row.created_at < moment, row.state != FORGOTTEN, row.id.not_in(waiting)
    return select(row.id).where(*old)


def _delete(table: Any, key: Any) -> Callable[[Session, list[str]], None]:
    def forget(session: Session, ids: list[str]) -> None:
        session.execute(delete(table).where(key.in_(ids)))

    return forget


def _empty_drafts(session: Session, ids: list[str]) -> None:
    session.execute(update(AssignmentRow).where(AssignmentRow.id.in_(ids)).values(draft=None))


def _empty_replies(session: Session, ids: list[str]) -> None:
    sealed: set[str] = set()
    for row in session.scalars(select(InteractionRow).where(InteractionRow.id.in_(ids))):
        row.asked, row.replies, row.state = [], [], FORGOTTEN
        sealed |= {row.sealed_id} if row.sealed_id else set()
    for said in session.scalars(select(FeedbackRow).where(FeedbackRow.interaction_id.in_(ids))):
        if not isinstance(said.value["value"], bool | int | float):
            said.value = {"value": MARK}
        sealed |= {said.sealed_id} if said.sealed_id else set()
    copies = update(QueueItemRow).where(QueueItemRow.subject_id.in_(ids))
    session.execute(copies.values(shown=None))
    session.execute(update(SealedRow).where(SealedRow.id.in_(sealed)).values(box=None))


@dataclass(frozen=True, slots=True)
class _Kind:
    which: Callable[[datetime], Select[Any]]
    forget: Callable[[Session, list[str]], None]


KINDS = {
    "logins": _Kind(_old_logins, _delete(LoginRow, LoginRow.hash)),
    "login_failures": _Kind(_old_tries, _delete(LoginFailureRow, LoginFailureRow.id)),
    "invitations": _Kind(_old_invitations, _delete(InvitationRow, InvitationRow.id)),
    "drafts": _Kind(_old_drafts, _empty_drafts),
    "interactions": _Kind(_old_replies, _empty_replies),
}
