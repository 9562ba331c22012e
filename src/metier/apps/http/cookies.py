"""Cookies: the login of a browser, and a mark of one that has not logged in.

Both are HttpOnly. Over https, which ``[serve] public_url`` declares, they are Secure and bound to
the host (the prefix ``__Host-``). Servers on one machine share a browser's cookies whatever their
ports, so the name tells the workspace.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http.cookies import SimpleCookie

from fastapi import Response
from starlette.requests import cookie_parser

from metier.journey.session import Session


@dataclass(frozen=True, slots=True)
class Cookies:
    """The names of this project's cookies. ``secure``: they are sent over https only."""

    name: str
    secure: bool

    @property
    def login(self) -> str:
        """The login's secret."""
        return f"{'__Host-' if self.secure else ''}metier_{self.name}"

    @property
    def browser(self) -> str:
        """A random mark of a browser without a login, which its forms' token is made from."""
        return f"{self.login}_browser"

    @property
    def trip(self) -> str:
        """What is remembered while somebody logs in at an OIDC provider."""
        return f"{self.login}_trip"

    def give(self, answer: Response, name: str, value: str, max_age_s: int | None = None) -> None:
        """Set a cookie; ``max_age_s`` None: until the browser is closed.

        Lax, as coming back from an OIDC provider, or by a link in a mail, is no post.
        """
        answer.set_cookie(
            name, value, max_age_s, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def take(self, answer: Response, name: str) -> None:
        """Remove a cookie."""
        answer.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")

    def header(self, name: str, value: str) -> str:
        """A Set-Cookie header, where there is no answer to set it on yet."""
        made: SimpleCookie = SimpleCookie()
        made[name] = value
        made[name] |= {"path": "/", "httponly": True, "samesite": "lax", "secure": self.secure}
        return made[name].OutputString()


def cookies_of(session: Session) -> Cookies:
    """The cookies of a project."""
    name = session.workspace.sealed.derive("cookies").hex()[:8]
    return Cookies(name, (session.project.serve.public_url or "").startswith("https://"))


def read_cookies(header: str) -> dict[str, str]:
    """The cookies of a request by name."""
    return dict(cookie_parser(header))


def new_mark() -> str:
    """A random mark of a browser (128 bits)."""
    return secrets.token_urlsafe(16)
