"""Errors as answers, in the shape that clients of the OpenAI API read.

{"error": {"message": "...", "type": "invalid_request_error", "param": "model", "code": "..."}}

What a request said is never repeated: neither in an answer to wrong input nor in the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from metier.apps.http.served import API, RETRY_WHEN_STOPPING_S
from metier.core.errors import Draining, NotFound, UserError

TOLD_PROBLEMS = 5
BUG = "internal_error"
# By status: the error's type and, where there is a usual one, its code.
KINDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "not_found"),
    408: ("invalid_request_error", "request_timeout"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "unavailable"),
    504: ("server_error", "timeout"),
    507: ("server_error", "out_of_space"),
}
ABOUT_MODELS = (f"{API}/chat", f"{API}/models")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="What was expected, what came, and what to do.")
    type: str = Field(description="invalid_request_error, rate_limit_error, server_error, …")
    param: str | None = Field(description="The field that is wrong, e.g. messages.0.role.")
    code: str | None = Field(description="A word for programs, e.g. model_not_found.")


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


def failure(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error; its type and usual code follow from the status."""
    return JSONResponse(
        error_body(status, message, param=param, code=code), status, dict(headers or {})
    )


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    kind, usual = KINDS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None)
    )
    return {"error": {"message": message, "type": kind, "param": param, "code": code or usual}}


def bug_words(request_id: str) -> str:
    """What is told of a bug: where the server's log says more."""
    return f"something failed here; it is in the server's log as {request_id}"


def bug_page(request_id: str) -> HTMLResponse:
    """What a browser shows of a bug; it leans on nothing that may be what is broken."""
    words = escape(bug_words(request_id))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Something failed</title>'
        '<link rel="stylesheet" href="/static/app.css"><main><div class="card">'
        f"<h1>That did not work</h1><p>{words[:1].upper()}{words[1:]}.</p>"
        '<p><a href="/">To the start page</a></p></div></main></html>'
    )
    return HTMLResponse(page, 500, {"Content-Security-Policy": "default-src 'self'"})


def refusal(error: UserError, path: str = "") -> JSONResponse:
    """Return what the user can put right, under the error's own HTTP status."""
    headers = {}
    wait = getattr(error, "retry_after_s", None)
    if wait is None and isinstance(error, Draining):
        wait = RETRY_WHEN_STOPPING_S
    if wait is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, NotFound) and path.startswith(ABOUT_MODELS):
        return failure(404, str(error), param="model", code="model_not_found")
    return failure(error.http_status, str(error), headers=headers)


def invalid(problems: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """Return what is wrong with a request: 400 when it is no JSON, 422 naming the fields."""
    first = problems[0]
    if first["type"] == "json_invalid":
        return failure(400, f"expected a body in JSON, which breaks at character {first['loc'][1]}")
    told = [f"{_place(one['loc'])}: {_plain(one['msg'])}" for one in problems[:TOLD_PROBLEMS]]
    return failure(422, "\n".join(told), param=_place(first["loc"]))


def add_handlers(app: FastAPI) -> None:
    """Have the app answer every error in this shape."""
    app.add_exception_handler(UserError, _on_user_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_user_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UserError)
    return refusal(error, request.url.path)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors())


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return failure(error.status_code, str(error.detail), headers=error.headers)


def _place(loc: Sequence[str | int]) -> str:
    """``messages.0.role``; a key that the sender made up is not repeated."""
    inside = loc[1:] if loc and loc[0] in ("body", "path", "query", "header") else loc
    names = [str(p) if isinstance(p, int) or _FIELD.fullmatch(p) else "…" for p in inside]
    return ".".join(names) or "body"


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
