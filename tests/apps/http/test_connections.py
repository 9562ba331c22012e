"""What only a real connection shows: sizes, clients that go away, the schema under fire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from http_desk import desk_app, listening, opened, raw_request, wait_until
from metier.core import ledger
from metier.journey.session import Session
from serve_fakes import FakeModel, champion

LIMIT = "max_body_bytes = 2000\nmax_waiting = 1\ntimeout_s = 5\n"
HEAD = "POST /v1/chat/completions HTTP/1.1\nContent-Type: application/json\n"


class Desk:
    def __init__(self, session: Session, model: FakeModel, url: str) -> None:
        self.session, self.model, self.url = session, model, url
        self.chat = f"{url}/v1/chat/completions"

    def states(self) -> list[str]:
        return [one.state for one in ledger.list_interactions(self.session.workspace)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A server whose model answers once its gate is opened."""
    model = FakeModel(lambda text: f"echo {text}", hold=True, streams=True)
    with opened(tmp_path, LIMIT) as session:
        champion(session.workspace)
        with listening(desk_app(session, model)) as url:
            yield Desk(session, model, url)
            model.gate.set()


def body(text: str = "hi", **more: object) -> bytes:
    asked = [{"role": "user", "content": text}]
    return json.dumps({"model": "champion", "messages": asked, **more}).encode()


def test_a_body_that_is_too_large(desk: Desk) -> None:
    desk.model.gate.set()
    large = body("x" * 2000)
    announced = httpx.post(desk.chat, content=large)
    in_chunks = httpx.post(desk.chat, content=iter([large[:1500], large[1500:]]))
    for got in (announced, in_chunks):
        assert got.status_code == 413
        assert got.json()["error"]["code"] == "request_too_large"
    with raw_request(desk.url, HEAD + "Content-Length: 999999999") as unsent:
        assert unsent.recv(65536).startswith(b"HTTP/1.1 413 ")
    fits = httpx.post(
        desk.chat, content=body("x" * 1800), headers={"content-type": "application/json"}
    )
    assert fits.status_code == 200
    assert desk.states() == ["done"]


def test_headers_that_are_too_large(desk: Desk) -> None:
    with raw_request(desk.url, "GET /health HTTP/1.1") as connection:
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):  # it may come in parts
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /health HTTP/1.1\r\nX-Large: " + b"x" * 40_000)  # and no end
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:  # closed before all of it was read
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")


def test_one_request_too_many(desk: Desk) -> None:
    first: list[httpx.Response] = []
    waiting = threading.Thread(
        target=lambda: first.append(httpx.post(desk.chat, json=json.loads(body())))
    )
    waiting.start()
    wait_until(desk.model.running.is_set)
    got = httpx.post(desk.chat, json=json.loads(body()))
    assert got.status_code == 429 and int(got.headers["retry-after"]) >= 1
    assert got.json()["error"]["code"] == "rate_limit_exceeded"
    desk.model.gate.set()
    waiting.join()
    assert first[0].status_code == 200


def test_a_client_that_leaves_a_stream(desk: Desk) -> None:
    asked = body("where is my parcel?", stream=True)
    connection = raw_request(desk.url, f"{HEAD}Content-Length: {len(asked)}", asked)
    got = b""
    while b'"content": "ech' not in got:
        got += connection.recv(65536)
    connection.close()
    wait_until(lambda: desk.states() == ["cancelled"])
    (kept,) = ledger.list_interactions(desk.session.workspace)
    assert kept.id in got.decode() and kept.replies[0].startswith("ech")
    desk.model.gate.set()
    after = httpx.post(desk.chat, json=json.loads(body()))
    assert after.status_code == 200, "its place is free again"
    assert desk.states() == ["cancelled", "done"]


def test_a_client_that_does_not_wait(desk: Desk) -> None:
    asked = body()
    connection = raw_request(desk.url, f"{HEAD}Content-Length: {len(asked)}", asked)
    wait_until(desk.model.running.is_set)
    connection.close()
    wait_until(lambda: desk.states() == ["cancelled"])


def test_a_client_that_leaves_before_its_body_is_sent(desk: Desk) -> None:
    connection = raw_request(desk.url, f"{HEAD}Content-Length: 500", b'{"model"')
    connection.close()
    desk.model.gate.set()
    assert httpx.post(desk.chat, json=json.loads(body())).status_code == 200
    assert desk.states() == ["done"]
