"""Who works here: invite, change roles, shut out, send a new link, end logins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.pages.people.words import ROLE_WORDS
from metier.core.errors import InputError
from metier.journey.inviting import guest_panels, invite_somebody
from metier.people import (
    ROLES,
    NewInvitation,
    Role,
    change_role,
    disable_person,
    enable_person,
    end_logins,
    get_person,
    has_accounts,
    list_invitations,
    list_logins,
    list_people,
    names_of,
    reset_link,
    revoke_invitation,
    set_fields,
)

router = APIRouter(route_class=PageRoute, prefix="/people", dependencies=[may("manage")])
HERE = "/people"
Short = Annotated[str, Form(max_length=300)]


@router.get("")
def people_page(request: Request, site: Here, who: Who) -> Response:
    """List everybody, and invitations that can still be used."""
    return show(request, "people/people.html.j2", **staff_view(site, who.id))


@router.post("/invite")
def invite_person(
    request: Request,
    site: Here,
    who: Who,
    role: Annotated[Role, Form()],
    email: Short = "",
    queue: Short = "",
    days: Annotated[float | None, Form()] = None,
) -> Response:
    """Make an invitation and show its link, once."""
    lasts = site.session.project.people.invitation_days if days is None else days
    new = NewInvitation(role, email or None, queue or None, lasts)
    made, secret = invite_somebody(site.session, new, who.id)
    view = staff_view(site, who.id) | {"link": link_to(request, site, secret), "made": made}
    return show(request, "people/people.html.j2", **view)


@router.post("/invitations/{key}/revoke")
def take_back(site: Here, who: Who, key: str) -> Response:
    """Take an invitation back."""
    revoke_invitation(site.session.workspace, key, who.id)
    return go(HERE)


@router.post("/{key}/link")
def new_link(request: Request, site: Here, who: Who, key: str) -> Response:
    """Make a link by which somebody sets a new password, or a guest comes back."""
    made, secret = reset_link(site.session.workspace, key, who.id)
    view = staff_view(site, who.id) | {"link": link_to(request, site, secret), "made": made}
    return show(request, "people/people.html.j2", **view)


@router.post("/{key}/role")
def give_role(site: Here, who: Who, key: str, role: Annotated[Role, Form()]) -> Response:
    """Change somebody's role."""
    change_role(site.session.workspace, key, role, who.id)
    return go(HERE)


@router.post("/{key}/fields")
def give_fields(site: Here, who: Who, key: str, fields: Short = "") -> Response:
    """Say what somebody is expert in."""
    set_fields(site.session.workspace, key, fields.split(","), who.id)
    return go(HERE)


@router.post("/{key}/{what}")
def change(site: Here, who: Who, key: str, what: str) -> Response:
    """Shut somebody out, let them in again, or end their logins."""
    ws = site.session.workspace
    ways: dict[str, Callable[[], Any]] = {
        "disable": lambda: disable_person(ws, key, who.id),
        "enable": lambda: enable_person(ws, key, who.id),
        "logins": lambda: end_logins(ws, get_person(ws, key).id, who.id),
    }
    if what not in ways:
        raise InputError("disable, enable or logins", got=repr(what[:40]))
    ways[what]()
    return go(HERE)


def staff_view(site: Site, me: str) -> Row:
    """Everybody with their newest login, open invitations, and what may be chosen."""
    ws, config = site.session.workspace, site.session.project.people
    seen: dict[str, Any] = {}
    for login in list_logins(ws, config):
        seen[login.person.id] = max(login.seen_at, seen.get(login.person.id, login.seen_at))
    names = names_of(ws)
    return {
        "accounts": has_accounts(ws),
        "people": [{"person": one, "seen": seen.get(one.id)} for one in list_people(ws)],
        "invitations": [
            {"one": one, "by": names.get(one.created_by, one.created_by),
             "whom": names.get(one.person_id or "")}
            for one in list_invitations(ws)
        ],
        "roles": [one for one in ROLES if one != "guest"],
        "role_words": ROLE_WORDS,
        "panels": guest_panels(site.session),
        "days": config.invitation_days,
        "me": me,
        "link": None,
        "only_here": is_loopback(site),
        "made": None,
    }  # fmt: skip


def is_loopback(site: Site) -> bool:
    """Whether nobody at another machine reaches what is served."""
    serve = site.session.project.serve
    return not serve.public_url and serve.host in ("127.0.0.1", "localhost", "::1")


def link_to(request: Request, site: Site, secret: str) -> str:
    """The address of an invitation, as the invited person reaches this server."""
    base = site.session.project.serve.public_url or str(request.base_url).rstrip("/")
    return f"{base}/join?{urlencode({'code': secret})}"
