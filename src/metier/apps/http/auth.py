"""Who may ask: API keys, and what keeps other sites' pages out of a server without keys.

A loopback address may be served without keys, as whoever reaches it is on this machine. A browser
on this machine can be made to reach it too, by any page it shows: so the name it was reached
under must be a loopback name (else a foreign name was pointed here: DNS rebinding), and requests
that another origin's page sent are refused. Any other address demands a key.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from metier.apps.http.errors import refusal
from metier.apps.http.served import API, Served, is_loopback
from metier.core.errors import Draining, UserError
from metier.core.workspace import Workspace
from metier.people.keys import PREFIX, check_key, list_keys

OPEN = ("/health", "/ready")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
LOCAL = "local"
bearer = HTTPBearer(auto_error=False, description="A key made with `metier keys create`.")


class Unauthorized(UserError):
    """A key is missing, or it opens nothing."""

    http_status = 401


class Forbidden(UserError):
    """A request that no program or page of this machine's own sent."""

    http_status = 403


class Guard:
    """Lets a request pass or refuses it before its body is read."""

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app, self._served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            caller = await self._admit(scope["path"], scope["method"], Headers(scope=scope))
        except UserError as error:
            return await refusal(error)(scope, receive, send)
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _admit(self, path: str, method: str, headers: Headers) -> str | None:
        """The name of the key that was given (None: none). Raises Unauthorized, Forbidden,
        Draining."""
        if path in OPEN:
            return None
        in_api = path == API or path.startswith(f"{API}/")
        caller = await self._caller(headers) if in_api else None
        if caller is None and is_loopback(self._served.host):
            check_host(headers, self._served.host)
            check_origin(headers, method, page=not in_api)
        if in_api and self._served.draining:
            raise Draining(
                "a server that takes requests", got="one that is stopping", remedy="ask again soon"
            )
        return caller

    async def _caller(self, headers: Headers) -> str | None:
        kind, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip() if kind.lower() == "bearer" else ""
        if not self._served.needs_key and not secret.startswith(PREFIX):
            return None  # clients that insist on a key send any word
        found = None
        if secret:
            found = await run_in_threadpool(check_key, self._served.session.workspace, secret)
        if found is None:
            raise Unauthorized(
                "a valid API key, sent as Authorization: Bearer mk_…",
                got="one that is unknown, expired or revoked" if secret else "none",
                remedy="make one with `metier keys create NAME` on the server",
            )
        return found.name


def check_host(headers: Headers, bound: str) -> None:
    """Raise Forbidden unless the request was addressed to a loopback name."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in (*LOOPBACK_NAMES, bound):
        raise Forbidden(
            "a request to localhost, 127.0.0.1 or [::1]",
            got="another name in the Host header",
            remedy="use the address that `metier serve` printed",
        )


def check_origin(headers: Headers, method: str, *, page: bool) -> None:
    """Raise Forbidden for what a page of another origin sent. Following a link to one of our
    ``page``s is no such thing."""
    site = headers.get("sec-fetch-site", "none")
    link = page and method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    origin = headers.get("origin")
    own = headers.get("host", "")
    foreign = origin is not None and origin not in (f"http://{own}", f"https://{own}")
    if link or (site in ("none", "same-origin") and not foreign):
        return
    raise Forbidden(
        "a request from a page of this address, or from a program",
        got="one that a page of another site sent",
        remedy="call the API from a program on the server's side",
    )


def check_bind(ws: Workspace, host: str, *, only_api: bool) -> None:
    """Raise UserError when what is to be served may not be bound to ``host``."""
    if is_loopback(host):
        return
    if not only_api:
        raise UserError(
            "a loopback address such as 127.0.0.1 for the pages, which have no accounts yet",
            got=f"host {host!r}",
            remedy="add `--only api`, or serve the pages on 127.0.0.1",
        )
    if not any(key.live for key in list_keys(ws)):
        raise UserError(
            "at least one valid API key, as others can reach this address",
            got=f"host {host!r} and no key",
            remedy="make one with `metier keys create NAME`",
        )


def caller_of(request: Request) -> str:
    """Return who asked: the name of the key, or "local" for a request without one."""
    return cast("str | None", request.state.caller) or LOCAL


Caller = Annotated[str, Depends(caller_of)]
