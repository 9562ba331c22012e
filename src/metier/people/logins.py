"""Logins: a random secret in the browser's cookie, of which only the SHA-256 is kept here.

secret = begin_login(ws, person, config)         always a new one: nothing that was known before
find_login(ws, secret, config)                   the login, or None once it ended

A login ends when somebody logs out, when nothing was done for ``idle_minutes``, after
``login_hours``, and when a password or an account changes. Guests have no password to come back
with: theirs last ``guest_days``.
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

from metier.core.errors import UserError
from metier.core.store.tables import LoginRow, PersonRow
from metier.core.workspace import Workspace
from metier.people.accounts import clean_email, new_password, person_in, set_disabled
from metier.people.config import PeopleConfig
from metier.people.passwords import is_right
from metier.people.throttle import NOBODY, account_hash, count_try, forget_tries
from metier.people.types import Person

RENEWED_EACH = timedelta(seconds=30)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class WrongLogin(UserError):
    """E-mail and password do not belong together; which of them is wrong is not told."""

    http_status = 401


@dataclass(frozen=True, slots=True)
class Login:
    """A login that holds. ``hash`` names it; the secret is in the browser alone."""

    person: Person
    hash: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


def log_in(
    ws: Workspace, config: PeopleConfig, email: str, password: str, address: str
) -> tuple[Person, str]:
    """Check e-mail and password and begin a login; returns its secret.

    Raises WrongLogin, and Throttled after too many wrong ones from this address or for this
    account. It takes as long for an e-mail that nobody has.
    """
    known = email.strip().casefold()[:300]
    count_try(ws, known, address)
    with ws.db.reading() as session:
        row = session.scalars(select(PersonRow).where(PersonRow.email == known)).first()
        person = None if row is None else person_in(row)
        hashed = None if row is None else row.password
    right = is_right(password, hashed)
    if person is None or not right or person.disabled_at is not None:
        ws.audit.append(NOBODY, "login.failed", account_hash(ws, known))
        raise WrongLogin(
            "an e-mail and a password that belong together",
            got="others",
            remedy="try again, or ask an owner for a new link",
        )
    forget_tries(ws, known, address)
    return person, begin_login(ws, person, config)


def begin_login(ws: Workspace, person: Person, config: PeopleConfig, how: str = "password") -> str:
    """Begin a login and return its secret (256 random bits)."""
    secret, now = secrets.token_urlsafe(32), datetime.now(UTC)
    lasts = timedelta(hours=config.login_hours)
    if person.role == "guest":
        lasts = timedelta(days=config.guest_days)
    with ws.db.session() as session:
        session.add(
            LoginRow(
                hash=_hash(secret),
                person_id=person.id,
                created_at=now,
                seen_at=now,
                expires_at=now + lasts,
                ended_at=None,
            )
        )
        ws.audit.append(person.id, "login", person.id, {"how": how}, session=session)
    return secret


def find_login(
    ws: Workspace, secret: str, config: PeopleConfig, *, active: bool = True
) -> Login | None:
    """Return the login a secret opens, None once it ended. ``active``: somebody did something,
    which begins the idle time anew."""
    if not _SECRET.fullmatch(secret):
        return None
    now = datetime.now(UTC)
    with ws.db.reading() as session:
        query = select(LoginRow, PersonRow).join(PersonRow, PersonRow.id == LoginRow.person_id)
        found = session.execute(query.where(LoginRow.hash == _hash(secret))).first()
        if found is None or not _holds(found[0], found[1], config, now):
            return None
        row, person = found
        login = _login(row, person_in(person))
    if active and now - login.seen_at >= RENEWED_EACH:
        with ws.db.session() as session:
            this = update(LoginRow).where(LoginRow.hash == login.hash, LoginRow.seen_at < now)
            session.execute(this.values(seen_at=now))
    return login


def list_logins(ws: Workspace, config: PeopleConfig, person_id: str | None = None) -> list[Login]:
    """The logins that hold now, newest first."""
    now = datetime.now(UTC)
    query = select(LoginRow, PersonRow).join(PersonRow, PersonRow.id == LoginRow.person_id)
    query = query.where(LoginRow.ended_at.is_(None), LoginRow.expires_at > now)
    if person_id is not None:
        query = query.where(LoginRow.person_id == person_id)
    with ws.db.reading() as session:
        rows = session.execute(query.order_by(LoginRow.created_at.desc())).all()
        return [_login(one, person_in(who)) for one, who in rows if _holds(one, who, config, now)]


def log_out(ws: Workspace, login_hash: str, actor: str) -> None:
    """End one login. A second time changes nothing."""
    with ws.db.session() as session:
        if _end(session, LoginRow.hash == login_hash):
            ws.audit.append(actor, "logout", actor, session=session)


def end_logins(
    ws: Workspace,
    person_id: str,
    actor: str | None,
    *,
    but: str = "",
    session: Session | None = None,
) -> int:
    """End all logins of somebody, but the one with the hash ``but``; count them."""
    if session is None:
        with ws.db.session() as own:
            return end_logins(ws, person_id, actor, but=but, session=own)
    ended = _end(session, LoginRow.person_id == person_id, LoginRow.hash != but)
    if ended:
        ws.audit.append(actor, "person.end_logins", person_id, {"n": ended}, session=session)
    return ended


def disable_person(ws: Workspace, key: str, actor: str | None) -> Person:
    """Shut somebody out at once. Raises InputError for the last owner."""
    with ws.db.session() as session:
        person = set_disabled(ws, key, True, actor, session=session)
        end_logins(ws, person.id, actor, session=session)
        return person


def enable_person(ws: Workspace, key: str, actor: str | None) -> Person:
    """Let somebody in again."""
    with ws.db.session() as session:
        return set_disabled(ws, key, False, actor, session=session)


def set_password(
    ws: Workspace, key: str, password: str, actor: str | None, *, but: str = ""
) -> Person:
    """Set somebody's password and end their logins, but the one with the hash ``but``."""
    with ws.db.session() as session:
        person = new_password(ws, key, password, actor, session=session)
        end_logins(ws, person.id, actor, but=but, session=session)
    if person.email:
        forget_tries(ws, clean_email(person.email), None)
    return person


def knows_password(ws: Workspace, person: Person, password: str) -> bool:
    """Whether somebody who is logged in knows their password, asked before it is changed."""
    with ws.db.reading() as session:
        row = session.get(PersonRow, person.id)
        hashed = None if row is None else row.password
    return is_right(password, hashed)


def _holds(row: LoginRow, person: PersonRow, config: PeopleConfig, now: datetime) -> bool:
    if row.ended_at is not None or person.disabled_at is not None or row.expires_at <= now:
        return False
    idle = now - row.seen_at
    return person.role == "guest" or idle < timedelta(minutes=config.idle_minutes)


def _login(row: LoginRow, person: Person) -> Login:
    return Login(person, row.hash, row.created_at, row.seen_at, row.expires_at)


def _end(session: Session, *which: Any) -> int:
    open_ones = update(LoginRow).where(LoginRow.ended_at.is_(None), *which)
    done = session.execute(open_ones.values(ended_at=datetime.now(UTC)))
    return cast("CursorResult[Any]", done).rowcount


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
