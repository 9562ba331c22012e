"""Nothing leaves before the check; answers come in order; trouble is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from metier.core.completer import Completion, Sampling, StreamingCompleter
from metier.core.errors import EgressRefused, ModelUnavailable
from metier.core.types import Conversation, Usage
from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings

ASKED = [Conversation.of(("system", "s"), ("user", f"question {n}")) for n in range(6)]
QUICK = EndpointSettings(attempts=2, wait_s=0.0, timeout_s=5.0, api_key_env="METIER_TEST_KEY")


class Server(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that echoes, or misbehaves as told."""

    seen: ClassVar[list[dict[str, Any]]] = []
    keys: ClassVar[list[str | None]] = []
    statuses: ClassVar[list[int]] = []
    raw: ClassVar[bytes | None] = None
    finish: ClassVar[str] = "stop"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Server.seen.append({**body, "path": self.path})
        Server.keys.append(self.headers.get("Authorization"))
        status = Server.statuses.pop(0) if Server.statuses else 200
        text = "echo " + body["messages"][-1]["content"]
        if Server.raw is not None:
            self.reply(status, Server.raw)
        elif status != 200:
            self.reply(status, b'{"error": {"message": "go away"}}')
        elif body.get("stream"):
            self.reply(200, b"".join(self.events(text)))
        else:
            choice = {"message": {"content": text}, "finish_reason": Server.finish}
            usage = {"prompt_tokens": 7, "completion_tokens": 3}
            self.reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())

    def events(self, text: str) -> Iterator[bytes]:
        for piece in text.split(" "):
            data = json.dumps({"choices": [{"delta": {"content": piece + " "}}]})
            yield f"data: {data}\n\n".encode()
        yield b'data: {"choices": [{"delta": {}}]}\n\n: comment\n\ndata: [DONE]\n\n'

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        """Keep quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "METIER_TEST_KEY"):
        monkeypatch.delenv(name, raising=False)
    Server.seen, Server.keys, Server.statuses = [], [], []
    Server.raw, Server.finish = None, "stop"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/"
    server.shutdown()
    server.server_close()
    thread.join()


def allow(url: str, purpose: str, texts: int) -> None:
    """Let everything pass."""


def test_answers_come_in_order_with_their_tokens(url: str) -> None:
    completer = EndpointCompleter(url, "m", allow, QUICK)
    assert isinstance(completer, StreamingCompleter)
    found = completer.complete(ASKED, Sampling(max_tokens=5, stop=("x",), seed=3))
    assert [c.text for c in found] == [f"echo question {n}" for n in range(6)]
    assert found[0].usage == Usage(7, 3)
    assert found[0].timing.total_s > 0
    sent = Server.seen[0]
    assert sent["path"] == "/v1/chat/completions"
    assert (sent["model"], sent["max_tokens"], sent["stop"], sent["seed"]) == ("m", 5, ["x"], 3)
    assert sent["messages"][0] == {"role": "system", "content": "s"}
    assert completer.complete([], Sampling()) == []


def test_nothing_is_sent_when_the_check_refuses(url: str) -> None:
    asked_for: list[tuple[str, str, int]] = []

    def refuse(url: str, purpose: str, texts: int) -> None:
        asked_for.append((url, purpose, texts))
        raise EgressRefused("an entry", got="none")

    completer = EndpointCompleter(url, "m", refuse, QUICK)
    with pytest.raises(EgressRefused):
        completer.complete(ASKED, Sampling())
    with pytest.raises(EgressRefused):
        list(completer.stream(ASKED[0], Sampling()))
    assert asked_for == [(url.rstrip("/"), "complete", 6), (url.rstrip("/"), "complete", 1)]
    assert Server.seen == []


def test_the_key_comes_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    completer = EndpointCompleter(url, "m", allow, QUICK)
    completer.complete(ASKED[:1], Sampling())
    monkeypatch.setenv("METIER_TEST_KEY", "secret")
    completer.complete(ASKED[:1], Sampling())
    assert Server.keys == [None, "Bearer secret"]
    assert "secret" not in completer.fingerprint


def test_a_busy_server_is_asked_again(url: str) -> None:
    Server.statuses = [503]
    (found,) = EndpointCompleter(url, "m", allow, QUICK).complete(ASKED[:1], Sampling())
    assert found.text == "echo question 0"
    assert len(Server.seen) == 2


def test_a_server_that_stays_down_is_an_error_on_the_row(url: str) -> None:
    Server.statuses = [500, 500]
    first, second = [
        EndpointCompleter(url, "m", allow, QUICK).complete(ASKED[:1], Sampling())[0]
        for _ in range(2)
    ]
    assert first.finish_reason == "error"
    assert first.error is not None and "HTTP 500" in first.error and "go away" in first.error
    assert second.error is None


def test_an_unknown_status_is_not_retried(url: str) -> None:
    Server.statuses = [418]
    (found,) = EndpointCompleter(url, "m", allow, QUICK).complete(ASKED[:1], Sampling())
    assert found.error is not None and "HTTP 418" in found.error
    assert len(Server.seen) == 1


@pytest.mark.parametrize("status", [401, 404])
def test_what_asking_again_cannot_cure_stops(url: str, status: int) -> None:
    Server.statuses = [status] * 9
    with pytest.raises(ModelUnavailable, match=f"HTTP {status}") as caught:
        EndpointCompleter(url, "m", allow, QUICK).complete(ASKED[:1], Sampling())
    assert "METIER_TEST_KEY" in caught.value.remedy


@pytest.mark.parametrize(
    "raw",
    [b"<html>", b"{}", b'{"choices": []}', b"[]", b'{"choices": [{"message": {"content": [1]}}]}'],
)
def test_a_reply_that_is_none_is_an_error_on_the_row(url: str, raw: bytes) -> None:
    Server.raw = raw
    (found,) = EndpointCompleter(url, "m", allow, QUICK).complete(ASKED[:1], Sampling())
    assert found.error is not None and "no choices" in found.error


def test_a_cut_reply_says_so(url: str) -> None:
    Server.finish = "length"
    (found,) = EndpointCompleter(url, "m", allow, QUICK).complete(ASKED[:1], Sampling())
    assert found.finish_reason == "length"


def test_nobody_listening_is_named() -> None:
    completer = EndpointCompleter("http://127.0.0.1:9/v1", "m", allow, QUICK)
    with pytest.raises(ModelUnavailable, match="no connection"):
        completer.complete(ASKED[:1], Sampling())
    with pytest.raises(ModelUnavailable, match="ConnectError"):
        list(completer.stream(ASKED[0], Sampling()))


def test_streams(url: str) -> None:
    completer = EndpointCompleter(url, "m", allow, QUICK)
    assert list(completer.stream(ASKED[0], Sampling())) == ["echo ", "question ", "0 "]
    Server.statuses = [404]
    with pytest.raises(ModelUnavailable, match="go away"):
        list(completer.stream(ASKED[0], Sampling()))


def event(**parts: Any) -> bytes:
    return f"data: {json.dumps(parts)}\n\n".encode()


def said(text: str, finish: str | None = None) -> bytes:
    return event(choices=[{"delta": {"content": text}, "finish_reason": finish}])


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (said("a"), "broke off"),
        (said("a") + b"data: {\n\n", "no event"),
        (said("a") + b"data: [1]\n\n", "no event"),
        (event(choices=[{"delta": {"content": 5}}]), "no event"),
        (said("a") + event(error={"message": "out of memory"}), "out of memory"),
    ],
)
def test_a_stream_that_is_none_is_refused(url: str, raw: bytes, problem: str) -> None:
    Server.raw = raw
    with pytest.raises(ModelUnavailable, match=problem):
        list(EndpointCompleter(url, "m", allow, QUICK).stream(ASKED[0], Sampling()))


def test_a_stream_is_cut_at_line_feeds_only_and_what_cannot_be_encoded_is_replaced(
    url: str,
) -> None:
    texts = ["one\u2028two\x85", "half \ud83d."]
    parts = [json.dumps({"choices": [{"delta": {"content": one}}]}) for one in texts]
    parts[0] = json.dumps(json.loads(parts[0]), ensure_ascii=False)
    Server.raw = "".join(f"data: {one}\n\n" for one in parts).encode() + b"data: [DONE]\n\n"
    found = list(EndpointCompleter(url, "m", allow, QUICK).stream(ASKED[0], Sampling()))
    assert found == ["one\u2028two\x85", "half \ufffd."]


def test_a_stream_says_how_it_ended(url: str) -> None:
    Server.raw = (
        said("a")
        + said("", "length")
        + event(usage={"prompt_tokens": 3, "completion_tokens": "?"}, choices=None)
    )
    pieces = EndpointCompleter(url, "m", allow, QUICK).stream(ASKED[0], Sampling())
    with pytest.raises(StopIteration) as ended:
        while True:
            next(pieces)
    assert ended.value.value == Completion("", "length", Usage(3, 0))


def test_it_does_not_score() -> None:
    with pytest.raises(NotImplementedError, match="log-probabilities"):
        EndpointCompleter("http://x", "m", allow).score([], [])
