"""Roles and routes: every page names a permission, and it holds for every role."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from http_desk import write_project
from metier.apps.http.auth import scope_of
from metier.apps.http.pages.allowed import NEEDS
from metier.journey.session import Session, open_session
from metier.people import MAY, PERMISSIONS, ROLES, NewInvitation, Role, accept, invite
from metier.people.invitations import Joiner
from metier.people.logins import begin_login, list_logins
from people_site import HERE, PASSWORD, Browser, app_of, email_of, logged_in, person

FREE = ("anybody", "everybody")
ANYBODY, EVERYBODY = frozenset(FREE[:1]), frozenset(FREE[1:])
OPEN = {
    "/login", "/logout", "/start", "/start/owner", "/start/alone", "/join", "/oidc/login",
    "/oidc/callback",
}  # fmt: skip
EVERYBODYS = {"/alive", "/account", "/account/password", "/account/logins", "/account/fields"}
SYSTEM = {"/health", "/ready"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with open_session(write_project(tmp_path_factory.mktemp("roles"))) as made:
        for role in ROLES:
            if role != "guest":
                person(made.workspace, role, role)
        yield made


def routes(session: Session) -> list[APIRoute]:
    """All routes of the pages, those in included routers too."""
    found: list[APIRoute] = []

    def walk(holder: Any) -> None:
        for one in getattr(holder, "routes", []):
            if isinstance(one, APIRoute):
                found.append(one)
            else:
                walk(getattr(one, "original_router", one))

    walk(app_of(session).router)
    return [one for one in found if one.path not in SYSTEM]


def needs_of(route: APIRoute) -> set[frozenset[str]]:
    """What a route asks for, wherever it was given: of each set one permission."""
    needs: set[frozenset[str]] = set()

    def walk(dependant: Any) -> None:
        needs.update({getattr(dependant.call, NEEDS)} if hasattr(dependant.call, NEEDS) else ())
        for one in dependant.dependencies:
            walk(one)

    walk(route.dependant)
    return needs


def test_every_route_of_the_pages_names_a_permission(session: Session) -> None:
    known = routes(session)
    assert len(known) > 30
    for route in known:
        needs = needs_of(route)
        assert needs, f"{route.path} opens to everybody: give it may(...), see pages/allowed.py"
        assert frozenset().union(*needs) <= {*PERMISSIONS, *FREE}
        if needs == {ANYBODY}:
            assert route.path in OPEN, route.path
        if needs == {EVERYBODY}:
            assert route.path in EVERYBODYS, route.path


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_what_it_may_and_nothing_else(session: Session, role: Role) -> None:
    browser = browser_of(session, role)
    token = browser.token("/account")
    for route in routes(session):
        needs = needs_of(route) - {ANYBODY, EVERYBODY}
        if not needs:
            continue
        path = route.path_format.format(**dict.fromkeys(route.param_convertors, "panel"))
        method = "GET" if "GET" in (route.methods or ()) else "POST"
        own = {"Origin": HERE, "X-CSRF-Token": token}
        got = browser.client.request(method, path, follow_redirects=False, headers=own)
        allowed = all(one & MAY[role] for one in needs)
        refused = got.status_code == 403 and "ask an owner of this project" in got.text
        led_home = path == "/" and got.status_code == 303
        assert allowed != (refused or led_home), (method, path, got.status_code)


def browser_of(session: Session, role: Role) -> Browser:
    if role != "guest":
        return logged_in(session, role)
    ws = session.workspace
    _, secret = invite(ws, NewInvitation("guest", queue="panel"), "test")
    guest = accept(ws, secret, Joiner())
    browser = Browser(session)
    browser.get("/login")
    name = next(one.name for one in browser.client.cookies.jar).removesuffix("_browser")
    browser.client.cookies.set(name, begin_login(ws, guest, session.project.people))
    return browser


def test_a_guest_sees_one_panel_and_no_other(session: Session) -> None:
    browser = browser_of(session, "guest")
    for path in ("/review/panel",):
        assert browser.get(path).status_code == 404, "theirs, though it is not there"
    for path in ("/review/other", "/review/panel2", "/review/PANEL"):
        assert browser.get(path).status_code == 403, path


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("POST", "/v1/chat/completions", ("chat",)),
        ("GET", "/v1/models", ("chat", "read")),
        ("POST", "/v1/feedback", ("feedback",)),
        ("POST", "/v1/queue/next", ("queue",)),
        ("GET", "/v1/annotation/queues", ("annotate", "read")),
        ("POST", "/v1/annotation/queues", ("annotate",)),
        ("POST", "/v1/fine_tuning/jobs", ("tune",)),
        ("GET", "/v1/anything", ("all", "read")),
        ("POST", "/v1/anything", ("all",)),
        ("POST", "/v1", ("all",)),
    ],
)
def test_what_a_key_needs(method: str, path: str, scopes: tuple[str, ...]) -> None:
    assert scope_of(path, method) == scopes


# -- the owner's pages ----------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Session]:
    with open_session(write_project(tmp_path / "desk")) as made:
        person(made.workspace, "mara", "owner")
        yield made


def test_the_owner_invites_changes_shuts_out_and_ends_logins(fresh: Session) -> None:
    ws, owner = fresh.workspace, logged_in(fresh, "mara")
    li = person(ws, "li", "annotator")
    other = logged_in(fresh, "li")
    made = owner.post("/people/invite", "/people", role="reviewer", email="ann@example.org")
    assert f"{HERE}/join?code=" in made.text and "shown once" in made.text
    page = owner.get("/people").text
    assert "/join?code=" not in page and "ann@example.org, as reviewer" in page
    assert other.get("/runs").status_code == 403
    owner.post(f"/people/{li.id}/role", "/people", role="engineer")
    assert other.get("/runs").status_code == 200, "a role holds from the next request on"
    owner.post(f"/people/{li.id}/logins", "/people")
    assert other.get("/runs").status_code == 303
    owner.post(f"/people/{li.id}/disable", "/people")
    assert "shut out" in owner.get("/people").text
    assert Browser(fresh).log_in(email_of("li")).status_code == 401
    last = owner.post(f"/people/{email_of('mara')}/disable", "/people")
    assert last.status_code == 422 and "make somebody else an owner first" in last.text
    assert (
        owner.post(f"/people/{email_of('mara')}/role", "/people", role="viewer").status_code == 422
    )
    assert list_logins(ws, fresh.project.people, li.id) == []


def test_views_are_in_the_log_and_polls_are_not(fresh: Session) -> None:
    browser = logged_in(fresh, "mara")
    ws = fresh.workspace
    me = list_logins(ws, fresh.project.people)[0].person.id
    browser.get("/runs")
    browser.get("/lineage/run_nothing")
    browser.get("/runs/jobs", headers={"HX-Request": "true"})
    browser.get("/static/app.css")
    views = [one for one in ws.audit.entries() if one.action == "view"]
    assert [(one.actor, one.subject, one.detail["page"]) for one in views] == [
        (me, "/runs", "/runs")
    ], "a page that was not there was not seen"
    assert ws.audit.verify().ok


def test_the_audit_page_searches_verifies_and_downloads(fresh: Session) -> None:
    ws, browser = fresh.workspace, logged_in(fresh, "mara")
    for number in range(120):
        ws.audit.append("=cmd|' /C calc'!A0", "thing.do", f"thing_{number}", {"n": number})
    page = browser.get("/audit?action=thing").text
    assert page.count("<tr><td") == 100 and ">thing.do</a>" in page and "page=2" in page
    assert browser.get("/audit?action=thing&page=2").text.count("<tr><td") == 20
    assert "No entry fits" in browser.get("/audit?since=2031-01-01").text
    assert browser.get("/audit?since=tomorrow").status_code == 422
    assert "unbroken" in browser.get("/audit/verify").text
    told = json.loads(browser.get("/audit/entries.json?subject=thing_7").text)
    assert [one["subject"] for one in told][:2] == ["thing_7", "thing_70"]
    rows = list(csv.DictReader(io.StringIO(browser.get("/audit/entries.csv?action=thing").text)))
    assert len(rows) == 120 and rows[0]["actor"].startswith("'="), "no formula for a spreadsheet"
    assert len(ws.audit.search(_downloads())) == 2


def _downloads() -> Any:
    from metier.core.audit import AuditQuery

    return AuditQuery(action="audit.download")


def test_one_changes_ones_own_password(fresh: Session) -> None:
    browser, other = logged_in(fresh, "mara"), logged_in(fresh, "mara")
    new = "an even better one"
    wrong = browser.post("/account/password", "/account", now="no", password=new, again=new)
    assert wrong.status_code == 422
    done = browser.post("/account/password", "/account", now=PASSWORD, password=new, again=new)
    assert done.headers["location"] == "/account?done=password"
    assert browser.get("/account").status_code == 200 and other.get("/account").status_code == 303
    assert Browser(fresh).log_in(email_of("mara"), new).status_code == 303
