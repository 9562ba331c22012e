"""Invitations: a link by which one person joins, once.

invitation, secret = invite(ws, NewInvitation("annotator", email="li@example.org"), actor)
accept(ws, secret, Joiner("Li Wen", password="…"))

A guest's link names the one panel it opens and asks for no password. A link made for somebody who
is here already (``reset_link``) lets them set a new password, or a guest come back. Only the
SHA-256 of a link's secret is kept.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from metier.core.errors import InputError, NotFound, UserError, nearest
from metier.core.ids import new_id
from metier.core.ledger.find import columns, record
from metier.core.store.tables import InvitationRow, PersonRow
from metier.core.workspace import Workspace
from metier.people.accounts import (
    NewPerson,
    add_person,
    clean_email,
    find_row,
    has_owner,
    new_password,
    person_in,
)
from metier.people.logins import end_logins
from metier.people.throttle import forget_tries
from metier.people.types import ROLES, Person, Role

MOST_DAYS = 90.0
RESET_DAYS = 1.0
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class Spent(UserError):
    """An invitation that opens nothing: used, ended, taken back, or never made."""

    http_status = 410


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """Whom to let in. ``queue`` is the panel of a guest, None for everybody else; ``email`` None:
    they say it themselves."""

    role: Role
    email: str | None = None
    queue: str | None = None
    days: float = 7.0


@dataclass(frozen=True, slots=True)
class Joiner:
    """What somebody says of themselves when they take up an invitation."""

    name: str = ""
    password: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, without its secret. ``person_id`` is whom a new link is for."""

    id: str
    created_at: datetime
    created_by: str
    role: Role
    email: str | None
    queue: str | None
    expires_at: datetime
    used_at: datetime | None = None
    used_by: str | None = None
    revoked_at: datetime | None = None
    person_id: str | None = None

    @property
    def live(self) -> bool:
        """Whether it can still be used."""
        closed = self.used_at is not None or self.revoked_at is not None
        return not closed and self.expires_at > datetime.now(UTC)


def invite(ws: Workspace, new: NewInvitation, actor: str) -> tuple[Invitation, str]:
    """Make an invitation; returns it and the secret of its link, which cannot be had again.

    Raises InputError for a role or time that will not do, a guest without a panel, an e-mail that
    somebody has, or where no owner has an account yet.
    """
    _check(ws, new)
    email = clean_email(new.email) if new.email else None
    with ws.db.session() as session:
        same = select(PersonRow.id).where(PersonRow.email == email)
        if email is not None and session.scalars(same).first() is not None:
            raise InputError("an e-mail that nobody here has", got="one that somebody has",
                             remedy="make them a new link instead")  # fmt: skip
        return _make(ws, session, Invitation(
            new_id("inv"), datetime.now(UTC), actor, new.role, email, new.queue,
            datetime.now(UTC) + timedelta(days=new.days),
        ))  # fmt: skip


def reset_link(
    ws: Workspace, key: str, actor: str, days: float = RESET_DAYS
) -> tuple[Invitation, str]:
    """Make a link by which somebody who is here sets a new password, or a guest comes back.
    Earlier ones of theirs end. Raises NotFound, InputError for somebody who is disabled."""
    with ws.db.session() as session:
        row = find_row(session, key)
        if row.disabled_at is not None:
            raise InputError("somebody who may come in", got="a disabled account",
                             remedy="let them in again first")  # fmt: skip
        now = datetime.now(UTC)
        theirs = InvitationRow.person_id == row.id, InvitationRow.used_at.is_(None)
        session.execute(update(InvitationRow).where(*theirs).values(revoked_at=now))
        role = person_in(row).role
        until = now + timedelta(days=days)
        return _make(ws, session, Invitation(
            new_id("inv"), now, actor, role, row.email, row.queue, until, person_id=row.id,
        ))  # fmt: skip


def find_invitation(ws: Workspace, secret: str) -> Invitation:
    """Return the invitation that a link's secret opens. Raises Spent when it opens nothing."""
    if _SECRET.fullmatch(secret):
        with ws.db.reading() as session:
            query = select(InvitationRow).where(InvitationRow.hash == _hash(secret))
            row = session.scalars(query).first()
            found = None if row is None else record(Invitation, row)
        if found is not None and found.live:
            return found
    raise _spent()


def accept(ws: Workspace, secret: str, joiner: Joiner) -> Person:
    """Take up an invitation: of several who try at once one gets in.

    Raises Spent, and InputError for a name, e-mail or password that will not do; the invitation
    then stays usable.
    """
    found = find_invitation(ws, secret)
    if found.role != "guest" and joiner.password is None:
        raise InputError("a password", got="none")
    with ws.db.session() as session:
        now = datetime.now(UTC)
        usable = (
            InvitationRow.id == found.id, InvitationRow.used_at.is_(None),
            InvitationRow.revoked_at.is_(None), InvitationRow.expires_at > now,
        )  # fmt: skip
        taken = session.execute(update(InvitationRow).where(*usable).values(used_at=now))
        if cast("CursorResult[Any]", taken).rowcount != 1:
            raise _spent()
        person = _join(ws, session, found, joiner)
        mine = update(InvitationRow).where(InvitationRow.id == found.id)
        session.execute(mine.values(used_by=person.id))
        ws.audit.append(person.id, "invitation.accept", found.id, session=session)
    if person.email:
        forget_tries(ws, person.email, None)
    return person


def revoke_invitation(ws: Workspace, invitation_id: str, actor: str) -> Invitation:
    """Take an invitation back. A second time changes nothing. Raises NotFound."""
    with ws.db.session() as session:
        row = session.get(InvitationRow, invitation_id)
        if row is None:
            raise NotFound("the id of an invitation", got=repr(invitation_id[:60]))
        if row.revoked_at is None and row.used_at is None:
            row.revoked_at = datetime.now(UTC)
            ws.audit.append(actor, "invitation.revoke", row.id, session=session)
        return record(Invitation, row)


def list_invitations(ws: Workspace, *, live: bool = True) -> list[Invitation]:
    """Invitations that can still be used, or all; newest first."""
    query = select(InvitationRow).order_by(InvitationRow.id.desc())
    with ws.db.reading() as session:
        found = [record(Invitation, row) for row in session.scalars(query)]
    return [one for one in found if one.live or not live]


def _check(ws: Workspace, new: NewInvitation) -> None:
    if new.role not in ROLES:
        raise InputError("a role", got=repr(new.role), remedy=nearest(new.role, ROLES))
    if (new.role == "guest") != (new.queue is not None):
        raise InputError("a panel for a guest, and for nobody else",
                         got=f"role {new.role} and {'a' if new.queue else 'no'} panel",
                         remedy="name the panel that the guest rates in")  # fmt: skip
    if not 0 < new.days <= MOST_DAYS:
        raise InputError(f"more than 0 and at most {MOST_DAYS:.0f} days", got=str(new.days))
    if not has_owner(ws):
        raise InputError("an owner's account before others are invited", got="none yet",
                         remedy="`metier people add NAME --role owner --email …`")  # fmt: skip


def _make(ws: Workspace, session: Session, made: Invitation) -> tuple[Invitation, str]:
    secret = secrets.token_urlsafe(32)
    session.add(InvitationRow(hash=_hash(secret), **columns(InvitationRow, made)))
    detail = {"role": made.role, "queue": made.queue, "person": made.person_id,
              "expires_at": made.expires_at.isoformat()}  # fmt: skip
    ws.audit.append(made.created_by, "invitation.make", made.id, detail, session=session)
    return made, secret


def _join(ws: Workspace, session: Session, found: Invitation, joiner: Joiner) -> Person:
    if found.person_id is not None:
        return _come_back(ws, session, found.person_id, joiner)
    guest = found.role == "guest"
    name = joiner.name if joiner.name.strip() or not guest else f"Guest {found.id[-4:]}"
    new = NewPerson(
        name,
        found.role,
        email=found.email or (None if guest else joiner.email),
        password=None if guest else joiner.password,
        queue=found.queue,
    )
    return add_person(ws, new, found.created_by, session=session)


def _come_back(ws: Workspace, session: Session, person_id: str, joiner: Joiner) -> Person:
    row = find_row(session, person_id)
    if row.disabled_at is not None:
        raise _spent()
    end_logins(ws, person_id, person_id, session=session)
    if row.role == "guest":
        return person_in(row)
    return new_password(ws, person_id, joiner.password or "", person_id, session=session)


def _spent() -> Spent:
    return Spent(
        "an invitation that can still be used",
        got="one that was used, has ended or was taken back",
        remedy="ask whoever sent it for a new one",
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
