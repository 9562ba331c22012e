"""Who may ask: API keys and logins, and what keeps other sites' pages out of a server without them.

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
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metier.apps.http.entrance import Entrance, Visit
from metier.apps.http.errors import refusal
from metier.apps.http.paths import STATIC
from metier.apps.http.served import API, Served, is_loopback
from metier.core.errors import Draining, UserError
from metier.core.workspace import Workspace
from metier.people import ApiKey, Person, Role, check_key, has_owner, list_keys
from metier.people.keys import PREFIX

OPEN = ("/health", "/ready")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
LOCAL = "local"
SCOPES_OF = {
    "chat": ("chat",),
    "models": ("chat",),
    "feedback": ("feedback",),
    "queue": ("queue",),
    "annotation": ("annotate",),
    "fine_tuning": ("tune",),
    "files": ("tune",),
}
"""By the first part of the path below /v1: the scopes that open it; looking takes "read" too."""
bearer = HTTPBearer(auto_error=False, description="A key made with `metier keys create`.")


class Unauthorized(UserError):
    """A key is missing, or it opens nothing."""

    http_status = 401


class Forbidden(UserError):
    """A request that no program or page of this machine's own sent."""

    http_status = 403


class Guard:
    """Lets a request pass or refuses it before its body is read. It puts on the request whose key
    it carries (``caller``, ``key``) or who looks (``person``, ``login``, ``csrf_seed``)."""

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app, self._served = app, served
        self._entrance = Entrance(served)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path, headers = scope["path"], Headers(scope=scope)
        try:
            key = await self._admit(path, scope["method"], headers)
        except UserError as error:
            return await refusal(error)(scope, receive, send)
        state = scope.setdefault("state", {})
        state |= {"caller": key and key.name, "key": key}
        if path in OPEN or path.startswith(STATIC):
            return await self._app(scope, receive, send)
        if _in_api(path):
            state["person"] = key_person(key) if key else None
            return await self._app(scope, receive, send)
        await self._page(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method, headers = scope["path"], scope["method"], Headers(scope=scope)

        def look() -> tuple[Visit, Response | None]:
            visit = self._entrance.visit(path, headers)
            return visit, self._entrance.turned_away(visit, path, method, headers)

        visit, away = await run_in_threadpool(look)
        if away is not None:
            return await away(scope, receive, send)
        told = {"person": visit.person, "login": visit.login, "csrf_seed": visit.seed}
        scope["state"] |= told | {"address": address_of(scope, headers, self._served)}
        marked = send if visit.mark is None else self._marking(visit.mark, send)
        await self._app(scope, receive, marked)

    def _marking(self, mark: str, send: Send) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", self._entrance.mark_header(mark))
            await send(message)

        return marked

    async def _admit(self, path: str, method: str, headers: Headers) -> ApiKey | None:
        """The key that was given (None: none). Raises Unauthorized, Forbidden, Draining."""
        if path in OPEN:
            return None
        in_api = _in_api(path)
        key = await self._key(headers) if in_api else None
        if key is None and is_loopback(self._served.host):
            check_host(headers, self._served)
            check_origin(headers, method, page=not in_api, public=self._served.config.public_url)
        if key is not None:
            check_scope(key, path, method)
        if in_api and self._served.draining:
            raise Draining(
                "a server that takes requests", got="one that is stopping", remedy="ask again soon"
            )
        return key

    async def _key(self, headers: Headers) -> ApiKey | None:
        kind, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip() if kind.lower() == "bearer" else ""
        if not secret.startswith(PREFIX) and not await self._needs_key():
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
        return found

    async def _needs_key(self) -> bool:
        if self._served.needs_key:
            return True
        return await run_in_threadpool(lambda: self._entrance.accounts)


def scope_of(path: str, method: str) -> tuple[str, ...]:
    """The scopes of which a key needs one to call this; "all" is what no scope covers."""
    looks = ("read",) if method in ("GET", "HEAD") else ()
    below = path.removeprefix(f"{API}/").partition("/")[0]
    return SCOPES_OF.get(below, ("all",)) + looks


def check_scope(key: ApiKey, path: str, method: str) -> None:
    """Raise Forbidden where the key is for other things."""
    needed = scope_of(path, method)
    if not any(key.opens(one) for one in needed):
        raise Forbidden(
            f"a key with the scope {' or '.join(needed)}",
            got=f"one for {', '.join(key.scopes or ())}",
            remedy="make one with `metier keys create NAME --scope …`",
        )


def key_person(key: ApiKey) -> Person:
    """Who a key acts as: an engineer, or what its scopes come to."""
    role: Role = "viewer"
    if key.scopes is None:
        role = "engineer"
    elif "annotate" in key.scopes:
        role = "annotator"
    return Person(id=key.id, name=key.name, role=role)


def address_of(scope: Scope, headers: Headers, served: Served) -> str:
    """Where a request comes from. Behind a proxy that is what the proxy itself put last."""
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    if served.config.public_url is not None and forwarded:
        return forwarded[:100]
    client = scope.get("client")
    return client[0] if client else "unknown"


def _in_api(path: str) -> bool:
    return path == API or path.startswith(f"{API}/")


def check_host(headers: Headers, served: Served) -> None:
    """Raise Forbidden unless the request was addressed to a loopback name, or to the public one."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    public = _netloc(served.config.public_url)
    if name.lower() not in (*LOOPBACK_NAMES, served.host) and host.lower() != public:
        raise Forbidden(
            "a request to localhost, 127.0.0.1 or [::1]",
            got="another name in the Host header",
            remedy="use the address that `metier serve` printed",
        )


def check_origin(headers: Headers, method: str, *, page: bool, public: str | None = None) -> None:
    """Raise Forbidden for what a page of another origin sent. Following a link to one of our
    ``page``s is no such thing."""
    site = headers.get("sec-fetch-site", "none")
    link = page and method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    origin = headers.get("origin")
    own = headers.get("host", "")
    ours = (f"http://{own}", f"https://{own}", public)
    foreign = origin is not None and origin not in ours
    if link or (site in ("none", "same-origin") and not foreign):
        return
    raise Forbidden(
        "a request from a page of this address, or from a program",
        got="one that a page of another site sent",
        remedy="call the API from a program on the server's side",
    )


def check_bind(ws: Workspace, host: str, *, only_api: bool, public_url: str | None = None) -> None:
    """Raise UserError when what is to be served may not be bound to ``host``."""
    if is_loopback(host) and public_url is None:
        return
    if not only_api and not has_owner(ws):
        raise UserError(
            "an owner's account, as others can reach this address",
            got=f"host {host!r} and no owner",
            remedy="make one with `metier people add NAME --role owner --email …`, "
            "serve on 127.0.0.1, or add `--only api`",
        )
    if only_api and not any(key.live for key in list_keys(ws)):
        raise UserError(
            "at least one valid API key, as others can reach this address",
            got=f"host {host!r} and no key",
            remedy="make one with `metier keys create NAME`",
        )


def _netloc(url: str | None) -> str | None:
    return None if url is None else url.partition("://")[2].lower()


def caller_of(request: Request) -> str:
    """Return who asked: the name of the key, or "local" for a request without one."""
    return cast("str | None", request.state.caller) or LOCAL


Caller = Annotated[str, Depends(caller_of)]
