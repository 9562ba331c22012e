"""Errors in OpenAI's shape; the log says where, and never what was asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from http_desk import HERE, IdleGateway, opened
from metier.apps.http.app import make_app
from metier.core.errors import (
    BoundaryError,
    Busy,
    ConfigError,
    Draining,
    EgressRefused,
    InputError,
    IntegrityError,
    ModelUnavailable,
    NotFound,
    OutOfMemory,
    OutOfSpace,
    Overloaded,
    TimedOut,
    UserError,
)
from metier.journey.session import Session
from metier.serve import ChatReply, ChatRequest, ModelCard, Piece

SECRET = "my card is 4111 1111"
ASKED = {"model": "champion", "messages": [{"role": "user", "content": SECRET}]}


class BrokenGateway(IdleGateway):
    """Raises the same for every request."""

    def __init__(self) -> None:
        self.error: Exception = ValueError()
        self.broken: BreakingStream | None = None

    def ready(self) -> bool:
        return False

    def models(self) -> list[ModelCard]:
        raise self.error

    async def chat(self, request: ChatRequest) -> ChatReply:
        raise self.error from ValueError(SECRET)

    async def stream(self, request: ChatRequest) -> Any:
        if self.broken is None:
            raise self.error
        return self.broken


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder: Path = tmp_path_factory.mktemp("desk")
    with opened(folder) as made:
        yield made


@pytest.fixture
def gateway() -> BrokenGateway:
    return BrokenGateway()


@pytest.fixture
def client(session: Session, gateway: BrokenGateway) -> Iterator[TestClient]:
    app = make_app(session, "api", gateway=gateway)  # type: ignore[arg-type]  # same shape
    with TestClient(app, base_url=HERE) as made:
        yield made


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (Overloaded("a", retry_after_s=7), 429, "rate_limit_error", "rate_limit_exceeded"),
        (TimedOut("a"), 504, "server_error", "timeout"),
        (Draining("a"), 503, "server_error", "unavailable"),
        (ModelUnavailable("a"), 503, "server_error", "unavailable"),
        (EgressRefused("a"), 403, "permission_error", None),
        (InputError("a"), 422, "invalid_request_error", None),
        (ConfigError("a"), 422, "invalid_request_error", None),
        (IntegrityError("a"), 422, "invalid_request_error", None),
        (UserError("a"), 422, "invalid_request_error", None),
        (Busy("a"), 409, "invalid_request_error", None),
        (NotFound("a"), 404, "invalid_request_error", "model_not_found"),
        (OutOfSpace("a"), 507, "server_error", "out_of_space"),
        (OutOfMemory("a"), 503, "server_error", "unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_every_error_has_its_status(
    client: TestClient,
    gateway: BrokenGateway,
    error: UserError,
    status: int,
    kind: str,
    code: str | None,
    stream: bool,
) -> None:
    gateway.error = error
    got = client.post("/v1/chat/completions", json=ASKED | {"stream": stream})
    assert got.status_code == status
    told = got.json()["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert (told["type"], told["code"], told["message"]) == (kind, code, "expected a")
    waits = {429: "7", 503: "5"} if isinstance(error, Overloaded | Draining) else {}
    assert got.headers.get("retry-after") == waits.get(status)


def test_every_kind_of_user_error_is_mapped() -> None:
    """A new kind needs a line above."""
    assert {kind.__name__ for kind in UserError.__subclasses__() if "core" in kind.__module__} == {
        "ConfigError", "InputError", "ModelUnavailable", "NotFound", "Busy", "EgressRefused",
        "OutOfMemory", "OutOfSpace", "Overloaded", "TimedOut", "Draining", "IntegrityError",
    }  # fmt: skip


@pytest.mark.parametrize("error", [BoundaryError(f"asking: {SECRET}"), RuntimeError(SECRET)])
def test_a_bug_is_answered_with_the_id_of_its_line_in_the_log(
    client: TestClient, gateway: BrokenGateway, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.error = error
    with caplog.at_level(logging.DEBUG):
        got = client.post("/v1/chat/completions", json=ASKED)
    assert got.status_code == 500 and SECRET not in got.text
    told = got.json()["error"]
    assert (told["type"], told["code"]) == ("server_error", "internal_error")
    (line,) = [json.loads(r.message) for r in caplog.records if r.name == "metier.errors"]
    assert line["id"] in told["message"] and line["id"] == got.headers["x-request-id"]
    assert [one["type"] for one in line["errors"]] == [type(error).__name__, "ValueError"]
    assert any("test_errors.py" in place for place in line["errors"][0]["where"])
    assert SECRET not in caplog.text and "Traceback" not in caplog.text


def test_the_access_log_holds_no_text_query_or_key(
    client: TestClient, gateway: BrokenGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.error = InputError("a")
    with caplog.at_level(logging.INFO, logger="metier.access"):
        client.post(
            "/v1/chat/completions?card=4111",
            json=ASKED,
            headers={"Authorization": "Bearer word-of-mine"},
        )
    (line,) = [json.loads(r.message) for r in caplog.records if r.name == "metier.access"]
    assert set(line) == {"at", "id", "method", "path", "status", "ms"}
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/chat/completions", 422)


class BreakingStream:
    """One piece, then an error."""

    id, model, release = "chatcmpl-1", "champion", "v1"
    created = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, error: Exception) -> None:
        self.error, self.begun, self.closed = error, False, False

    def __aiter__(self) -> BreakingStream:
        return self

    async def __anext__(self) -> Piece:
        if self.begun:
            raise self.error
        self.begun = True
        return Piece(0, "It is")

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (Draining("a server that goes on"), "server_error", "expected a server that goes on"),
        (RuntimeError(SECRET), "server_error", "it is in the server's log as req_"),
    ],
)
def test_a_stream_that_breaks_ends_with_its_error(
    client: TestClient,
    gateway: BrokenGateway,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    kind: str,
    said: str,
) -> None:
    broken = gateway.broken = BreakingStream(error)
    with caplog.at_level(logging.DEBUG):
        got = client.post("/v1/chat/completions", json=ASKED | {"stream": True})
    assert got.status_code == 200 and broken.closed
    events = [one.removeprefix("data: ") for one in got.text.strip().split("\n\n")]
    assert events[-1] == "[DONE]"
    told = json.loads(events[-2])["error"]
    assert told["type"] == kind and said in told["message"]
    assert SECRET not in caplog.text + got.text


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"model": "cha', 400, "breaks at character"),
        (b"", 422, "body: Field required"),
        (b"[]", 422, "body: "),
        (b'"x"', 422, "body: "),
        (b"\xff\xfe{}", 400, "breaks at character"),
        (b'{"a": "\xff"}', 400, "parsing the body"),
        (b"[" * 100_000, 400, "parsing the body"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', 422, "surrogate"),
        (b'{"model": "m", "messages": [], "x": ' + b"[" * 70 + b"]" * 70 + b"}", 422, "nested"),
        (b'{"model": "m", "messages": [], "seed": 1e999}', 422, "not finite"),
        (b'{"model": "m", "messages": [], "seed": NaN}', 422, "not finite"),
        (b'{"model": "m", "messages": [], "seed": 9223372036854775808}', 422, "64 bits"),
    ],
)
def test_a_body_that_cannot_be_read(
    client: TestClient, body: bytes, status: int, said: str
) -> None:
    got = client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
    )
    assert got.status_code == status, got.text
    assert said in got.json()["error"]["message"]


def test_wrong_input_is_not_repeated(client: TestClient) -> None:
    body: Any = ASKED | {"temperature": SECRET, "messages": [{"role": SECRET, SECRET: 1}]}
    got = client.post("/v1/chat/completions", json=body)
    assert got.status_code == 422 and SECRET not in got.text
    got = client.post(
        "/v1/feedback",
        json={"metric_name": "helpful", "value": 1, "inference_id": "x", "tags": {SECRET: 2}},
    )
    assert got.status_code == 422 and SECRET not in got.text


def test_wrong_paths_and_methods(client: TestClient) -> None:
    assert client.get("/v1/chat/completions").status_code == 405
    got = client.get("/nowhere")
    assert got.status_code == 404 and got.json()["error"]["message"] == "Not Found"


def test_while_a_model_loads_it_is_not_ready(client: TestClient) -> None:
    got = client.get("/ready")
    assert got.status_code == 503 and got.headers["retry-after"] == "5"
    assert "loading" in got.json()["error"]["message"]
    assert client.get("/health").status_code == 200
