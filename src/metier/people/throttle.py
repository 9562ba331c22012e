"""Throttling of logins: after some wrong ones each try has to wait twice as long as the last.

tries in 15 minutes    wait before the next
for one account   5    15 s, 30 s, 1 min, … 15 min
from one address  20   the same; many people may share one address

A try counts before the password is looked at, so that many at once are not many for free; the
right password takes an account's tries back. Kept are keyed hashes, not e-mails or addresses.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from metier.core.errors import Overloaded
from metier.core.ids import new_id
from metier.core.store.tables import LoginFailureRow
from metier.core.workspace import Workspace

WINDOW = timedelta(minutes=15)
FREE_OF_ACCOUNT = 5
FREE_OF_ADDRESS = 20
_FIRST_WAIT_S = 15.0
NOBODY = "nobody"


class Throttled(Overloaded):
    """Too many wrong logins; ``retry_after_s`` says for how long to wait."""


def count_try(ws: Workspace, email: str, address: str) -> None:
    """Count a try for an account and an address. Raises Throttled, and then counts nothing."""
    both = _both(ws, email, address)
    with ws.db.session() as session:
        _lock(ws, session, sorted(who for who, _ in both))
        waits = [_wait_s(session, who, free) for who, free in both]
        if max(waits) <= 0:
            _count(ws, session, both)
    if max(waits) > 0:
        raise _refusal(round(max(waits)) or 1)


def forget_tries(ws: Workspace, email: str, address: str | None) -> None:
    """Take an account's tries back, and one of the address's."""
    account = account_hash(ws, email)
    with ws.db.session() as session:
        session.execute(delete(LoginFailureRow).where(LoginFailureRow.who == account))
        if address is not None:
            mine = LoginFailureRow.who == _hash(ws, "address", address)
            last = session.scalars(select(func.max(LoginFailureRow.id)).where(mine)).first()
            session.execute(delete(LoginFailureRow).where(LoginFailureRow.id == last))


def account_hash(ws: Workspace, email: str) -> str:
    """What stands for an e-mail in the audit log: nothing shows whether somebody has it."""
    return _hash(ws, "account", email)


def wait_s(tries: int, since_last_s: float, free: int) -> float:
    """Seconds to wait after so many tries, the last of them ``since_last_s`` ago."""
    if tries < free:
        return 0.0
    whole = min(_FIRST_WAIT_S * 2.0 ** min(tries - free, 20), WINDOW.total_seconds())
    return max(0.0, whole - since_last_s)


def _both(ws: Workspace, email: str, address: str) -> list[tuple[str, int]]:
    return [
        (account_hash(ws, email), FREE_OF_ACCOUNT),
        (_hash(ws, "address", address), FREE_OF_ADDRESS),
    ]


def _wait_s(session: Session, who: str, free: int) -> float:
    now = datetime.now(UTC)
    same = LoginFailureRow.who == who, LoginFailureRow.at > now - WINDOW
    ats = list(session.scalars(select(LoginFailureRow.at).where(*same)))
    return wait_s(len(ats), (now - max(ats)).total_seconds(), free) if ats else 0.0


def _count(ws: Workspace, session: Session, both: list[tuple[str, int]]) -> None:
    now = datetime.now(UTC)
    for who, free in both:
        session.add(LoginFailureRow(id=new_id("try"), who=who, at=now))
        session.flush()
        same = LoginFailureRow.who == who, LoginFailureRow.at > now - WINDOW
        tries = session.scalar(select(func.count()).where(*same)) or 0
        if tries >= free:
            ws.audit.append(NOBODY, "login.slowed", who, {"tries": tries}, session=session)


def _refusal(seconds: int) -> Throttled:
    words = f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"
    return Throttled(
        "fewer wrong logins at a time",
        got="too many for this account or from this address",
        remedy=f"wait {words} and try again, or ask an owner for a new link",
        retry_after_s=seconds,
    )


def _hash(ws: Workspace, kind: str, who: str) -> str:
    said = f"{kind} {who}".encode("utf-8", "surrogatepass")
    return hmac.digest(ws.sealed.derive("login failures"), said, "sha256").hex()


def _lock(ws: Workspace, session: Session, whos: list[str]) -> None:
    if not ws.db.is_sqlite:  # SQLite sessions hold the write lock already
        for who in whos:
            number = int(who[:15], 16)
            session.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": number})
