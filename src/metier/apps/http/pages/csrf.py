"""A token that only our own pages know, so that no other site's page can post in a person's name.

    <form method="post" action="/queues">{{ csrf }} …                (a hidden field)
    fetch(url, {method: "POST", headers: {"X-CSRF-Token": …}})    (in <meta name="csrf-token">)

It is the keyed hash of what the guard put on the request: the login's own, or a cookie of the
browser before there is a login. It goes with the login. htmx sends the header by itself (app.js).
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import hmac

from fastapi import Request
from markupsafe import Markup, escape

from metier.apps.http.paths import MACHINE
from metier.core.errors import UserError
from metier.core.workspace import Workspace

FIELD = "csrf"
HEADER = "X-CSRF-Token"
__all__ = [
    "FIELD",
    "HEADER",
    "MACHINE",
    "Forged",
    "check_token",
    "hidden",
    "make_token",
    "token_of",
]
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Forged(UserError):
    """A post without the token of the page it should have come from."""

    http_status = 403


def token_of(request: Request, ws: Workspace) -> str:
    """Return the token of whoever looks at the page, 64 hexadecimal digits."""
    return make_token(ws, getattr(request.state, "csrf_seed", MACHINE))


def make_token(ws: Workspace, seed: str) -> str:
    """Return the token for a seed; MACHINE is the seed where nobody logs in."""
    return hmac.digest(ws.sealed.derive("csrf"), seed.encode(), "sha256").hex()


def hidden(token: str) -> Markup:
    """The token as a hidden field of a form."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, escape(token))


async def check_token(request: Request, ws: Workspace) -> None:
    """Raise Forged for a post that does not carry the token."""
    if request.method in ("GET", "HEAD"):
        return
    given = request.headers.get(HEADER) or await _in_form(request)
    if not hmac.compare_digest(given.encode(), token_of(request, ws).encode()):
        raise Forged(
            "a post that carries the token of the page it comes from",
            got="another token" if given else "none",
            remedy="reload the page and send it again; your login may have ended in between",
        )


async def _in_form(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith(_FORMS):
        return ""
    return str((await request.form()).get(FIELD, ""))
