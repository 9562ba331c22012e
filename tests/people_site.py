"""A served project with accounts, and browsers that use it, for the tests of people."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Client, Response

from metier.apps.http.app import make_app
from metier.core.workspace import Workspace
from metier.journey.session import Session
from metier.people import NewPerson, Person, Role, add_person

HERE = "http://127.0.0.1:8421"
PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Browser:
    """Fills in the forms of pages as a person would: with the token that the page carries.

    ``at`` a session: its pages within this process; a client: a server elsewhere."""

    def __init__(self, at: Session | Client, base: str = HERE) -> None:
        if isinstance(at, Session):
            at = TestClient(app_of(at), base_url=base)
        self.client = at

    def get(self, path: str, **more: Any) -> Response:
        return self.client.get(path, follow_redirects=False, **more)

    def post(self, path: str, page: str, **fields: Any) -> Response:
        """Open ``page``, and post its form to ``path``."""
        return self.send(path, self.token(page), **fields)

    def send(self, path: str, token: str, **fields: Any) -> Response:
        data = {"csrf": token} | fields
        origin = {"Origin": str(self.client.base_url).rstrip("/")}
        return self.client.post(path, data=data, headers=origin, follow_redirects=False)

    def token(self, page: str) -> str:
        found = TOKEN.search(self.client.get(page).text)
        assert found is not None, f"no form on {page}"
        return found[1]

    def log_in(self, email: str, password: str = PASSWORD, **more: Any) -> Response:
        return self.post("/login", "/login", email=email, password=password, **more)

    @property
    def cookie(self) -> str:
        """The login's secret that this browser holds."""
        held = {one.name: one.value for one in self.client.cookies.jar}
        name = next((n for n in held if n.startswith("metier_") and n.count("_") == 1), None)
        return "" if name is None else held[name] or ""


_newest: list[tuple[Session, FastAPI]] = []


def app_of(session: Session) -> FastAPI:
    """The pages' app; browsers of one project share it, as making one takes its time."""
    if not _newest or _newest[0][0] is not session:
        _newest[:] = [(session, make_app(session, "web"))]
    return _newest[0][1]


def email_of(name: str) -> str:
    return f"{name}@example.org"


def person(ws: Workspace, name: str, role: Role) -> Person:
    new = NewPerson(name.title(), role, email_of(name), PASSWORD)
    return add_person(ws, new, "test")


def logged_in(session: Session, name: str) -> Browser:
    browser = Browser(session)
    assert browser.log_in(email_of(name)).status_code == 303
    return browser
