"""One's own account: who one is here, the password, and where one is logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from metier.apps.http.pages.allowed import MAY_WORDS, Who, everybody, login_of
from metier.apps.http.pages.frame import Here, PageRoute, go, show
from metier.apps.http.pages.people.door import Secret, check_same
from metier.apps.http.pages.people.words import ROLE_WORDS
from metier.core.errors import InputError
from metier.people import PERMISSIONS, end_logins, list_logins, set_fields, set_password
from metier.people.logins import knows_password
from metier.people.passwords import FEWEST_CHARS
from metier.people.throttle import count_try, forget_tries

router = APIRouter(route_class=PageRoute, prefix="/account", dependencies=[everybody()])


@router.get("")
def account_page(request: Request, site: Here, who: Who, done: str = "") -> Response:
    """Show one's account."""
    login = login_of(request)
    logins = list_logins(site.session.workspace, site.session.project.people, who.id)
    return show(
        request,
        "people/account.html.j2",
        who=who,
        role=ROLE_WORDS[who.role],
        allowed=[MAY_WORDS[one] for one in PERMISSIONS if who.may(one)],
        logins=[(one, login is not None and one.hash == login.hash) for one in logins],
        done={"password": "Your password is changed.", "logins": "Other logins have ended."}.get(
            done, ""
        ),
        fewest=FEWEST_CHARS,
        changes=login is not None and who.role != "guest",
    )


@router.post("/password")
def change_password(
    request: Request, site: Here, who: Who, now: Secret, password: Secret, again: Secret
) -> Response:
    """Change one's password; other logins end."""
    ws, login = site.session.workspace, login_of(request)
    check_same(password, again)
    count_try(ws, f"password {who.id}", getattr(request.state, "address", "here"))
    if login is None or not knows_password(ws, who, now):
        raise InputError("the password you have now", got="another")
    forget_tries(ws, f"password {who.id}", getattr(request.state, "address", "here"))
    set_password(ws, who.id, password, who.id, but=login.hash)
    return go("/account?done=password")


@router.post("/logins")
def end_others(request: Request, site: Here, who: Who) -> Response:
    """End one's logins in other browsers."""
    login = login_of(request)
    end_logins(site.session.workspace, who.id, who.id, but=login.hash if login else "")
    return go("/account?done=logins")


@router.post("/fields")
def say_fields(site: Here, who: Who, fields: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Say what one is expert in."""
    set_fields(site.session.workspace, who.id, fields.split(","), who.id)
    return go("/account")
