"""Accounts: who works here, and in which role.

add_person(ws, NewPerson("Mara Lind", "owner", email="mara@example.org", password="…"), actor)

The first account is an owner's, and one owner always remains: without one nobody could let people
in. Once there is an account, every page asks who is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Select, or_, select, text
from sqlalchemy.exc import IntegrityError as UniqueViolation
from sqlalchemy.orm import Session

from metier.core.errors import InputError, NotFound, nearest
from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.store.tables import PersonRow, Setting
from metier.core.workspace import Workspace
from metier.people.passwords import check_new, hash_password
from metier.people.types import ROLES, Person, Role

MOST_NAME = 100
MOST_EMAIL = 254
ALONE = "people.alone"
_LOCK = 0x70656F70  # any constant: names the PostgreSQL advisory lock
_EMAIL = re.compile(r"[^\s@<>\"',;]+@[^\s@<>\"',;]+\.[^\s@<>\"',;.]+")


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody to be let in. ``issuer`` and ``subject`` say who they are at an OIDC provider;
    ``password`` None: they log in there, or are a guest."""

    name: str
    role: Role
    email: str | None = None
    password: str | None = None
    fields: Sequence[str] = ()
    issuer: str | None = None
    subject: str | None = None
    queue: str | None = None


def add_person(
    ws: Workspace, new: NewPerson, actor: str | None, *, session: Session | None = None
) -> Person:
    """Let somebody in. Raises InputError for a name, e-mail or password that will not do, an
    e-mail that somebody has, or a first account that is no owner's."""
    row = _new_row(new)
    try:
        if session is not None:
            return _add(ws, session, row, actor)
        with ws.db.session() as own:
            return _add(ws, own, row, actor)
    except UniqueViolation as error:
        raise InputError(
            "an e-mail that nobody here has", got="one that somebody has", remedy="log in with it"
        ) from error


def add_first_owner(ws: Workspace, new: NewPerson) -> Person:
    """Make the first account, which is its owner's own doing. Raises InputError when there is
    an account already, also when two try at once."""
    row = _new_row(new)
    with ws.db.session() as session:
        _lock(ws, session)
        if _any_account(session):
            raise InputError("a project without accounts", got="one that has an owner",
                             remedy="log in, or ask the owner for an invitation")  # fmt: skip
        return _add(ws, session, row, row.id)


def go_alone(ws: Workspace, actor: str | None = None) -> None:
    """Note that one person works on this machine alone, so that accounts are not offered again."""
    with ws.db.session() as session:
        if session.get(Setting, ALONE) is None:
            session.add(Setting(name=ALONE, value=datetime.now(UTC).isoformat()))
            ws.audit.append(actor, "people.alone", "this machine", session=session)


def is_decided(ws: Workspace) -> bool:
    """Whether somebody chose between accounts and working alone."""
    with ws.db.reading() as session:
        return session.get(Setting, ALONE) is not None or _any_account(session)


def has_accounts(ws: Workspace) -> bool:
    """Whether anybody has an account; from then on everybody logs in."""
    with ws.db.reading() as session:
        return _any_account(session)


def has_owner(ws: Workspace) -> bool:
    """Whether an owner can log in."""
    with ws.db.reading() as session:
        return bool(session.scalars(_owners()).first())


def get_person(ws: Workspace, key: str) -> Person:
    """Find somebody by id, e-mail or the beginning of the id. Raises NotFound."""
    with ws.db.reading() as session:
        return person_in(find_row(session, key))


def list_people(ws: Workspace, *, guests: bool = True) -> list[Person]:
    """Everybody, in the order they came; those who were disabled too."""
    query = select(PersonRow).order_by(PersonRow.id)
    with ws.db.reading() as session:
        found = [person_in(row) for row in session.scalars(query)]
    return [one for one in found if guests or one.role != "guest"]


def names_of(ws: Workspace) -> dict[str, str]:
    """What to call people: id -> name."""
    with ws.db.reading() as session:
        return {row.id: row.name for row in session.execute(select(PersonRow.id, PersonRow.name))}


def change_role(ws: Workspace, key: str, role: Role, actor: str | None) -> Person:
    """Give somebody another role; it holds from their next request on. Raises InputError for
    the last owner, and for guests, who have no account."""
    if role not in ROLES or role == "guest":
        raise InputError("a role", got=repr(role), remedy=nearest(role, set(ROLES) - {"guest"}))
    with ws.db.session() as session:
        row = find_row(session, key)
        if row.role == "guest":
            raise InputError("somebody with an account", got="a guest", remedy="invite them")
        if role != "owner":
            _keep_an_owner(session, row)
        before, row.role = row.role, role
        ws.audit.append(actor, "person.role", row.id, {"from": before, "to": role}, session=session)
        return person_in(row)


def set_fields(ws: Workspace, key: str, fields: Sequence[str], actor: str | None) -> Person:
    """Say what somebody is expert in, e.g. ["cardiology"]."""
    with ws.db.session() as session:
        row = find_row(session, key)
        row.fields = _fields(fields)
        ws.audit.append(actor, "person.fields", row.id, {"n": len(row.fields)}, session=session)
        return person_in(row)


def new_password(
    ws: Workspace, key: str, password: str, actor: str | None, *, session: Session | None = None
) -> Person:
    """Set somebody's password. Whoever calls ends their logins. Raises InputError."""
    if session is None:
        with ws.db.session() as own:
            return new_password(ws, key, password, actor, session=own)
    row = find_row(session, key)
    if row.role == "guest":
        raise InputError("somebody with an account", got="a guest", remedy="send them a new link")
    check_new(password, row.name, row.email)
    row.password = hash_password(password)
    ws.audit.append(actor, "person.password", row.id, session=session)
    return person_in(row)


def set_disabled(
    ws: Workspace, key: str, disabled: bool, actor: str | None, *, session: Session
) -> Person:
    """Shut somebody out or let them in again; what they did stays. Raises InputError for the
    last owner."""
    row = find_row(session, key)
    if disabled:
        _keep_an_owner(session, row)
    row.disabled_at = datetime.now(UTC) if disabled else None
    action = "person.disable" if disabled else "person.enable"
    ws.audit.append(actor, action, row.id, session=session)
    return person_in(row)


def find_row(session: Session, key: str) -> PersonRow:
    """The row of somebody by id, e-mail or the beginning of the id. Raises NotFound."""
    same = or_(PersonRow.id == key, PersonRow.email == key.strip().casefold())
    found = list(session.scalars(select(PersonRow).where(same)))
    if not found and len(key) >= len("person_") + 6:
        begins = PersonRow.id.startswith(key, autoescape=True)
        found = list(session.scalars(select(PersonRow).where(begins).limit(2)))
    if len(found) != 1:
        raise NotFound("the id or e-mail of somebody here", got=repr(key[:100]),
                       remedy="`metier people list` shows them")  # fmt: skip
    return found[0]


def person_in(row: PersonRow) -> Person:
    """The person that a row holds."""
    return record(Person, row, fields=tuple(row.fields))


def clean_email(email: str) -> str:
    """The address as it is kept: without spaces, in small letters. Raises InputError."""
    clean = email.strip().casefold()
    if len(clean) > MOST_EMAIL or not _EMAIL.fullmatch(clean):
        raise InputError("an e-mail address such as mara@example.org", got="something else")
    return clean


def _new_row(new: NewPerson) -> PersonRow:
    name = " ".join(new.name.split())
    if not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise InputError(f"a name of 1 to {MOST_NAME} characters", got=f"{len(name)}")
    if new.role not in ROLES:
        raise InputError("a role", got=repr(new.role), remedy=nearest(new.role, ROLES))
    if (new.role == "guest") != (new.queue is not None):
        raise InputError("a guest of one panel, or somebody with an account", got="neither")
    if new.role != "guest" and not new.email:
        raise InputError("an e-mail to log in with", got="none")
    email = clean_email(new.email) if new.email else None
    if new.password is not None:
        check_new(new.password, name, email)
    return PersonRow(
        id=new_id("person"),
        created_at=datetime.now(UTC),
        name=name,
        role=new.role,
        email=email,
        password=None if new.password is None else hash_password(new.password),
        fields=_fields(new.fields),
        issuer=new.issuer,
        subject=new.subject,
        queue=new.queue,
        disabled_at=None,
    )


def _fields(fields: Sequence[str]) -> list[str]:
    found = [" ".join(one.split())[:60] for one in fields]
    return sorted({one for one in found if one})[:20]


def _add(ws: Workspace, session: Session, row: PersonRow, actor: str | None) -> Person:
    if row.role != "owner" and not session.scalars(_owners()).first():
        raise InputError("an owner's account first", got=f"one of a {row.role}",
                         remedy="`metier people add NAME --role owner --email …`")  # fmt: skip
    session.add(row)
    session.flush()
    ws.audit.append(actor, "person.add", row.id, {"role": row.role}, session=session)
    return person_in(row)


def _keep_an_owner(session: Session, row: PersonRow) -> None:
    owners = list(session.scalars(_owners().with_for_update()))
    if [one.id for one in owners] == [row.id]:
        raise InputError("an owner who stays", got="the last one",
                         remedy="make somebody else an owner first")  # fmt: skip


def _owners() -> Select[PersonRow]:
    return select(PersonRow).where(PersonRow.role == "owner", PersonRow.disabled_at.is_(None))


def _any_account(session: Session) -> bool:
    found = select(PersonRow.id).where(PersonRow.role != "guest").limit(1)
    return session.scalars(found).first() is not None


def _lock(ws: Workspace, session: Session) -> None:
    if not ws.db.is_sqlite:  # SQLite sessions hold the write lock already
        session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
