"""The outermost layer: a request id, one log line per request, and an end for every bug.

{"at": "...", "id": "req_...", "method": "POST", "path": "/v1/feedback", "status": 200, "ms": 4.1}

Bodies, queries and keys are never logged; of an exception only its type and where it was raised,
as its message may hold what the request said.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metier.apps.http.errors import BUG, bug_page, bug_words, failure
from metier.core.ids import new_id

access_log = logging.getLogger("metier.access")
error_log = logging.getLogger("metier.errors")
LONGEST_PATH = 200


class AccessLog:
    """Gives each request an id, logs it, and answers 500 with that id when a bug escapes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        one = _Request(scope, send)
        try:
            await self._app(scope, receive, one.send)
        except Exception as error:
            log_bug(error, one.id)
            if one.status is not None:
                raise _BrokenOff(one.id) from None  # the server cuts the connection
            page = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
            told = bug_page(one.id) if page else failure(500, bug_words(one.id), code=BUG)
            await told(scope, receive, one.send)
        finally:
            one.log()


class _BrokenOff(Exception):
    """An answer that had begun cannot be completed; the log has why under this id."""


class _Request:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._began = perf_counter()
        self.id = new_id("req")
        self.status: int | None = None
        scope.setdefault("state", {})["request_id"] = self.id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self.id
        await self._send(message)

    def log(self) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": self.id,
            "method": self._scope["method"],
            "path": self._scope["path"][:LONGEST_PATH],
            "status": self.status,
            "ms": round((perf_counter() - self._began) * 1000, 1),
        }
        caller = self._scope.get("state", {}).get("caller")
        if caller:
            line["key"] = caller
        access_log.info(json.dumps(line))


def log_bug(error: BaseException, request_id: str) -> None:
    """Log an exception and its causes as types and places, without their messages."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": request_id,
        "errors": list(_chain(error)),
    }
    error_log.error(json.dumps(line))


def _chain(error: BaseException | None) -> Iterator[dict[str, Any]]:
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        yield {"type": type(error).__name__, "where": where}
        inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        for one in inner:
            yield from _chain(one)
        error = error.__cause__ or error.__context__
