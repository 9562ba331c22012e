"""Limits on what a request may bring: the size of its body and the time it takes to arrive.

Headers are limited by the HTTP parser (``server.py``), answers by the gateway.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metier.apps.http.errors import failure


class BodyLimit:
    """Reads a body whole before the app sees the request; refuses one that is too large (413),
    announced or not, and one that does not arrive in time (408)."""

    def __init__(self, app: ASGIApp, most_bytes: int, within_s: float) -> None:
        self._app, self._most, self._within_s = app, most_bytes, within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = Headers(scope=scope).get("content-length", "0")
        try:
            if not announced.isdigit() or int(announced) > self._most:
                raise _TooLarge
            async with asyncio.timeout(self._within_s):
                body = await self._read(receive)
        except _TooLarge:
            words = f"expected a body of at most {self._most} bytes\nto fix: send less at once"
            return await failure(413, words)(scope, receive, send)
        except TimeoutError:
            words = f"expected the whole body within {self._within_s:g} seconds"
            return await failure(408, words)(scope, receive, send)
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None when the client went away before its end."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._most:
                raise _TooLarge
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _TooLarge(Exception):
    pass


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that hands out ``body`` first; after it only news of the connection comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
