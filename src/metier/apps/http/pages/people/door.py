"""The way in: the first start, logging in and out, taking up an invitation."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response

from metier.apps.http.cookies import cookies_of
from metier.apps.http.pages.allowed import Who, anybody, everybody, login_of, visitor_of
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.paths import HOME, LOGIN, START, local_path
from metier.core.errors import InputError, UserError
from metier.people import (
    Joiner,
    NewPerson,
    Person,
    accept,
    add_first_owner,
    begin_login,
    find_invitation,
    go_alone,
    has_accounts,
    log_in,
    log_out,
)
from metier.people.passwords import FEWEST_CHARS, MOST_CHARS

router = APIRouter(route_class=PageRoute)
DAY_S = 24 * 3600
Text = Annotated[str, Form(max_length=300)]
Secret = Annotated[str, Form(max_length=MOST_CHARS + 1)]
Code = Annotated[str, Query(max_length=100)]


@router.get(START, dependencies=[anybody()])
def start_page(request: Request, site: Here) -> Response:
    """Offer the choice between accounts and working alone."""
    if has_accounts(site.session.workspace):
        return go(LOGIN)
    return show(request, "people/start.html.j2", fewest=FEWEST_CHARS, name="", email="")


@router.post(f"{START}/owner", dependencies=[anybody()])
def make_owner(
    request: Request, site: Here, name: Text, email: Text, password: Secret, again: Secret
) -> Response:
    """Make the owner's account and log them in."""
    check_same(password, again)
    new = NewPerson(name, "owner", email=email, password=password)
    return let_in(request, site, add_first_owner(site.session.workspace, new), "first start")


@router.post(f"{START}/alone", dependencies=[anybody()])
def work_alone(site: Here, who: Who) -> Response:
    """Go on as the one person of this machine."""
    go_alone(site.session.workspace, who.id)
    return go(HOME)


@router.get(LOGIN, dependencies=[anybody()])
def login_page(
    request: Request, site: Here, next: str = HOME, ended: Annotated[bool, Query()] = False
) -> Response:
    """Ask for e-mail and password."""
    if visitor_of(request) is not None:
        return go(local_path(next))
    return show(request, "people/login.html.j2", **login_view(site, next, ended))


@router.post(LOGIN, dependencies=[anybody()])
def enter(
    request: Request, site: Here, email: Text, password: Secret, next: Text = HOME
) -> Response:
    """Check e-mail and password; the page says in words why not."""
    config, address = site.session.project.people, getattr(request.state, "address", "here")
    try:
        person, secret = log_in(site.session.workspace, config, email, password, address)
    except UserError as error:
        view = login_view(site, next) | {"email": email, "error": error}
        page = show(request, "people/login.html.j2", http_status=error.http_status, **view)
        wait = getattr(error, "retry_after_s", None)
        return page if wait is None else with_wait(page, wait)
    return with_login(request, site, person, secret, local_path(next))


@router.post("/logout", dependencies=[anybody()])
def leave(request: Request, site: Here) -> Response:
    """End the login of this browser."""
    login, answer = login_of(request), go(LOGIN)
    if login is not None:
        log_out(site.session.workspace, login.hash, login.person.id)
    cookies = cookies_of(site.session)
    cookies.take(answer, cookies.login)
    return answer


@router.get("/alive", dependencies=[everybody()])
def stay() -> Response:
    """Take note that somebody is at the page, reading or typing."""
    return Response(status_code=204)


@router.get("/join", dependencies=[anybody()])
def join_page(request: Request, site: Here, code: Code = "") -> Response:
    """Show an invitation, and ask for what it takes."""
    found = find_invitation(site.session.workspace, code)
    view: Row = {"invitation": found, "code": code, "fewest": FEWEST_CHARS}
    return show(request, "people/join.html.j2", **view)


@router.post("/join", dependencies=[anybody()])
def join(
    request: Request,
    site: Here,
    code: Text,
    name: Text = "",
    email: Text = "",
    password: Secret = "",
) -> Response:
    """Take up an invitation and log in."""
    joiner = Joiner(name, password or None, email or None)
    person = accept(site.session.workspace, code, joiner)
    return let_in(request, site, person, "invitation")


def login_view(site: Site, wanted: str, ended: bool = False) -> Row:
    """What the login page shows."""
    oidc = site.session.project.people.oidc
    return {
        "next": local_path(wanted),
        "ended": ended,
        "email": "",
        "error": None,
        "elsewhere": None if oidc is None else oidc.name,
        "elsewhere_path": f"/oidc/login?{urlencode({'next': local_path(wanted)})}",
        "minutes": site.session.project.people.idle_minutes,
    }


def let_in(request: Request, site: Site, person: Person, how: str) -> Response:
    """Begin a login and go to the start page."""
    secret = begin_login(site.session.workspace, person, site.session.project.people, how)
    return with_login(request, site, person, secret, HOME)


def with_login(request: Request, site: Site, person: Person, secret: str, path: str) -> Response:
    """Give the browser its new login; the one that it had ends."""
    before, answer = login_of(request), go(path)
    if before is not None:
        log_out(site.session.workspace, before.hash, before.person.id)
    config, cookies = site.session.project.people, cookies_of(site.session)
    lasts = round(config.guest_days * DAY_S) if person.role == "guest" else None
    cookies.give(answer, cookies.login, secret, lasts)
    cookies.take(answer, cookies.browser)
    return answer


def with_wait(page: Response, seconds: int) -> Response:
    """Say in the header too how long to wait."""
    page.headers["Retry-After"] = str(seconds)
    return page


def check_same(password: str, again: str) -> None:
    """Raise InputError when the password was typed in two ways."""
    if password != again:
        raise InputError("the same password twice", got="two that differ")


__all__ = ["let_in", "router", "with_login"]
