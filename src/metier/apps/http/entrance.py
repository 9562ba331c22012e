"""Who looks at a page: somebody who logged in, the one person of this machine, or nobody yet.

Without any account, whoever reaches a loopback address is the person of this machine and owns the
project. Once there is an account everybody logs in; only the pages that lead there are open.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from metier.apps.http.cookies import cookies_of, new_mark, read_cookies
from metier.apps.http.paths import ACCOUNT, HOME, LOGIN, MACHINE, START, is_open, local_path
from metier.apps.http.served import Served
from metier.core.audit import current_actor
from metier.people import Login, Person, find_login, has_accounts, is_decided

BY_ITSELF = "x-metier-by-itself"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a page that may go on. ``person`` None: nobody has logged in; ``seed`` is what
    the forms' token is made from; ``mark`` is set for a browser that gets one now."""

    person: Person | None
    seed: str
    login: Login | None = None
    mark: str | None = None


class Entrance:
    """Finds out who looks. ``accounts`` stays true once there are any."""

    def __init__(self, served: Served) -> None:
        self._served, self._session = served, served.session
        self._cookies = cookies_of(served.session)
        self._accounts = False

    @property
    def accounts(self) -> bool:
        """Whether anybody has an account (reads the database)."""
        self._accounts = self._accounts or has_accounts(self._session.workspace)
        return self._accounts

    def visit(self, path: str, headers: Headers) -> Visit:
        """Return who looks (reads the database)."""
        if not self.accounts and not self._served.exposed:
            name = current_actor()
            return Visit(Person(id=name, name=name, role="owner"), MACHINE)
        cookies = read_cookies(headers.get("cookie", ""))
        secret, config = cookies.get(self._cookies.login, ""), self._session.project.people
        active = BY_ITSELF not in headers
        login = find_login(self._session.workspace, secret, config, active=active)
        if login is not None:
            return Visit(login.person, login.hash, login)
        mark = cookies.get(self._cookies.browser, "")
        if mark:
            return Visit(None, f"browser {mark}")
        mark = new_mark()
        return Visit(None, f"browser {mark}", mark=mark)

    def turned_away(
        self, visit: Visit, path: str, method: str, headers: Headers
    ) -> Response | None:
        """Return where to send those who may not see this page, None for all others."""
        if visit.person is None:
            return None if is_open(path) else log_in_first(path, method, headers)
        if method != "GET" or path != HOME:
            return None
        if visit.login is None and not is_decided(self._session.workspace):
            return RedirectResponse(START, 303)
        return None if visit.person.may("look") else RedirectResponse(home_of(visit.person), 303)

    def mark_header(self, mark: str) -> str:
        """The header that gives a browser its mark."""
        return self._cookies.header(self._cookies.browser, mark)


def home_of(person: Person) -> str:
    """The page a person begins at: the first of the navigation that is theirs."""
    from metier.apps.http.pages.nav import navigation  # the pages are loaded where they are served

    groups = navigation(person, ACCOUNT).groups
    return groups[0].path if groups else ACCOUNT


def log_in_first(path: str, method: str, headers: Headers) -> Response:
    """Send somebody to the login, from where they come back to the page they were on."""
    if headers.get("hx-request") == "true":
        back = _path_of(headers.get("hx-current-url", ""))
        return PlainTextResponse("", 401, {"HX-Redirect": f"{LOGIN}?next={quote(back)}"})
    if method in ("GET", "HEAD") and headers.get("sec-fetch-mode", "navigate") == "navigate":
        return RedirectResponse(f"{LOGIN}?next={quote(path)}", 303)
    if method == "POST" and headers.get("sec-fetch-mode") == "navigate":
        return RedirectResponse(f"{LOGIN}?next={quote(_path_of(headers.get('referer', '')))}", 303)
    return PlainTextResponse("log in first: your login has ended", 401)


def _path_of(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return local_path("/" + rest.partition("/")[2]) if mark and scheme else HOME
