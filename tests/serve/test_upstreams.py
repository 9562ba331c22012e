"""Upstreams answer in place of a model, after the check, and their trouble gives nothing away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from metier.core.errors import EgressRefused, ModelUnavailable
from metier.core.workspace import Workspace
from metier.privacy import Egress, EgressEntry, PrivacyConfig
from metier.serve import Gateway, ServeConfig, Upstream
from serve_fakes import FakeModel, pieces_of, question, run, serving, stored

KEY = "sk-very-secret"


class Server(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that echoes, or fails and repeats key and question."""

    seen: ClassVar[list[dict[str, Any]]] = []
    status: ClassVar[int] = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Server.seen.append(body)
        text = f"echo {body['messages'][-1]['content']} {body.get('seed', '')}".strip()
        if Server.status != 200:
            told = f"{self.headers['Authorization']} asked {text}"
            self._reply(Server.status, json.dumps({"error": told}))
        elif body.get("stream"):
            parts = [{"choices": [{"delta": {"content": p + " "}}]} for p in text.split(" ")]
            parts.append({"choices": [{"delta": {}, "finish_reason": "length"}]})
            lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
            self._reply(200, "".join([*lines, "data: [DONE]\n\n"]))
        else:
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": 2}
            self._reply(200, json.dumps({"choices": [choice], "usage": usage}))

    def _reply(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *given: object) -> None:
        """Keep quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("METIER_TEST_KEY", KEY)
    Server.seen, Server.status = [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def gateway(workspace: Workspace, url: str) -> Iterator[Gateway]:
    entry = EgressEntry(host="127.0.0.1", purpose="serve", agreement="test")
    egress = Egress(PrivacyConfig(egress=[entry]), workspace.audit)
    with serving(workspace, FakeModel(), config(url), egress=egress) as made:
        yield made


def config(url: str) -> ServeConfig:
    upstream = Upstream(name="big", url=url, model="gpt", api_key_env="METIER_TEST_KEY")
    return ServeConfig(upstream=[upstream])


def test_an_upstream_answers_and_its_reply_is_kept(workspace: Workspace, gateway: Gateway) -> None:
    reply = run(gateway.chat(question("to mia@example.org", "big", n=2)))
    assert [one.text for one in reply.choices] == ["echo to mia@example.org"] * 2
    assert (reply.release, reply.confidence, reply.usage.input_tokens) == (None, None, 5)
    (sent,) = Server.seen
    assert sent["messages"][0]["content"] == "to [EMAIL]" and sent["model"] == "gpt"
    (row,) = stored(workspace)
    assert (row.model, row.release_id, row.replies) == ("big", None, ("echo to [EMAIL]",) * 2)
    assert [card.id for card in gateway.models()] == ["big"]
    assert run(gateway.chat(question("?", "big", n=2, temperature=1.0, seed=3))).choices[
        1
    ].text == ("echo ? 4"), "seeds of choices differ"


def test_an_upstream_streams(workspace: Workspace, gateway: Gateway) -> None:
    async def ask() -> list[str]:
        stream = await gateway.stream(question("to mia@example.org now", "big"))
        pieces = await pieces_of(stream)
        assert pieces[-1].finish_reason == "length"
        return [piece.text for piece in pieces]

    texts = run(ask())
    assert "".join(texts) == "echo to mia@example.org now " and len(texts) > 3
    assert stored(workspace)[0].replies == ("echo to [EMAIL] now ",)


@pytest.mark.parametrize("status", [401, 500])
@pytest.mark.parametrize("streamed", [False, True])
def test_its_trouble_gives_away_neither_key_nor_question(
    workspace: Workspace,
    gateway: Gateway,
    caplog: pytest.LogCaptureFixture,
    status: int,
    streamed: bool,
) -> None:
    Server.status = status
    with pytest.raises(ModelUnavailable, match=f"HTTP {status}") as caught:
        run((gateway.stream if streamed else gateway.chat)(question("my question", "big")))
    assert caught.value.http_status == 503
    for told in (str(caught.value), caplog.text):
        assert KEY not in told and "my question" not in told
    gateway.close()  # a failed stream is stored behind its error
    assert [row.state for row in stored(workspace)] == ["failed"]


def test_without_permission_nothing_is_sent(workspace: Workspace, url: str) -> None:
    with (
        serving(workspace, FakeModel(), config(url)) as gateway,
        pytest.raises(EgressRefused, match="serve"),
    ):
        run(gateway.chat(question("?", "big")))
    assert Server.seen == []
    assert [row.state for row in stored(workspace)] == ["failed"]


@pytest.mark.parametrize("name", ["champion", "latest", "v3", "rel_1"])
def test_an_upstream_needs_a_name_that_no_release_has(name: str) -> None:
    with pytest.raises(ValidationError, match="name of its own"):
        ServeConfig(upstream=[Upstream(name=name, url="http://a/v1", model="m")])
