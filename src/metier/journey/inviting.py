"""Invitations of a project: whoever is from outside gets into panels that were made for them only.

made, secret = invite_somebody(session, NewInvitation("guest", queue="patients"), actor)
"""

from __future__ import annotations

from metier.core.errors import InputError
from metier.journey.session import Session
from metier.people.invitations import Invitation, NewInvitation, invite
from metier.queue.queues import get_queue, list_queues
from metier.review.panel import panel_of

JOIN = "/join?code="


def invite_somebody(session: Session, new: NewInvitation, actor: str) -> tuple[Invitation, str]:
    """Make an invitation; returns it and the secret of its link, which cannot be had again.

    Raises InputError for a guest of a panel that was not made for guests, and as ``people.invite``
    does; NotFound for a panel that is not there.
    """
    if new.role == "guest" and new.queue is not None:
        refuse_unchecked(session, new.queue)
    return invite(session.workspace, new, actor)


def invite_guest(session: Session, name: str, actor: str, days: float) -> str:
    """Make a link for one person from outside; return its path, which cannot be had again.

    Raises as ``invite_somebody`` does.
    """
    return f"{JOIN}{invite_somebody(session, NewInvitation('guest', None, name, days), actor)[1]}"


def guest_panels(session: Session) -> list[str]:
    """Names of the panels that were made for people from outside, the newest first."""
    panels = list_queues(session.workspace, "review")
    return [one.name for one in panels if (one.settings or {}).get("guests")]


def refuse_unchecked(session: Session, name: str) -> None:
    """Raise InputError for a panel whose items nobody from outside may see, NotFound for none."""
    if not panel_of(get_queue(session.workspace, name)).guests:
        raise InputError(
            "a panel made for people from outside",
            got=f"{name!r}, which was not: its items were not checked for them",
            remedy="make one with `metier review make NAME --guests`",
        )
