"""``metier serve`` as a process: what it prints, how it ends, what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from desk import run
from http_desk import FakeUpstream, Process, opened, wait_until, write_project
from metier.apps.cli.serve import tell
from metier.core import ledger
from metier.journey.session import open_session
from serve_fakes import champion
from tiny_releases import make

ASKED = {"model": "far", "messages": [{"role": "user", "content": "hi"}]}
CLIENTS = 6


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as made:
        yield made


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_what_runs_is_done(
    tmp_path: Path, upstream: FakeUpstream, sign: signal.Signals
) -> None:
    write_project(tmp_path, upstream.config)
    upstream.gate.clear()
    running: list[httpx.Response] = []
    with Process(tmp_path) as process:
        wait_until(lambda: httpx.get(f"{process.url}/ready").status_code == 200)
        chat = f"{process.url}/v1/chat/completions"
        client = threading.Thread(target=lambda: running.append(httpx.post(chat, json=ASKED)))
        client.start()
        wait_until(upstream.asked.is_set)
        process.popen.send_signal(sign)
        wait_until(lambda: httpx.get(f"{process.url}/ready").status_code == 503)
        refused = httpx.post(chat, json=ASKED)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert "stopping" in refused.json()["error"]["message"]
        assert httpx.get(f"{process.url}/health").status_code == 200
        upstream.gate.set()
        client.join()
        code, out, err = process.end()
    assert running[0].status_code == 200, "what ran was finished"
    assert (code, out) == (0, "")
    assert "Traceback" not in err and "warning: no release yet" in err
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [one["status"] for one in lines if one["path"].startswith("/v1")] == [503, 200]


def test_a_second_signal_gives_up_what_runs(tmp_path: Path, upstream: FakeUpstream) -> None:
    write_project(tmp_path, upstream.config)
    upstream.gate.clear()
    running: list[httpx.Response] = []
    with Process(tmp_path) as process:
        chat = f"{process.url}/v1/chat/completions"
        client = threading.Thread(target=lambda: running.append(httpx.post(chat, json=ASKED)))
        client.start()
        wait_until(upstream.asked.is_set)
        process.popen.terminate()
        wait_until(lambda: httpx.get(f"{process.url}/ready").status_code == 503)
        process.popen.terminate()
        client.join()
        upstream.gate.set()
        code, _, err = process.end()
    assert code == 0 and "Traceback" not in err
    assert running[0].status_code == 503, "and tells who waits"


def test_an_address_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = run(capsys, "serve", "--port", port, "-p", str(tmp_path))
    assert (code, out) == (2, "")
    assert f"127.0.0.1 port {port}" in err and "address already in use" in err and "--port" in err


def test_an_address_that_others_reach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path)
    here = ("-p", str(tmp_path))
    code, _, err = run(capsys, "serve", "--host", "0.0.0.0", *here)
    assert code == 2 and "--only api" in err
    code, _, err = run(capsys, "serve", "--host", "0.0.0.0", "--only", "api", *here)
    assert code == 2 and "metier keys create" in err
    code, _, err = run(capsys, "serve", "--host", "no.such.host.invalid", "--only", "web", *here)
    assert code == 2 and "--only api" in err


def test_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(tmp_path) as session:
        tell("http://127.0.0.1:1", session.workspace, as_json=False)
        none = capsys.readouterr()
        make(session.workspace)
        tell("http://127.0.0.1:1", session.workspace, as_json=False)
        waiting = capsys.readouterr()
        champion(session.workspace)
        tell("http://127.0.0.1:1", session.workspace, as_json=False)
        full = capsys.readouterr()
    assert none.out == "metier serves on http://127.0.0.1:1  (no champion)\n"
    assert "no release yet" in none.err and "metier release promote" in waiting.err
    assert full.out == "metier serves on http://127.0.0.1:1  (release v2 as champion)\n"
    assert full.err == ""


def test_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path)
    here = ("-p", str(tmp_path))
    code, out, err = run(capsys, "keys", "create", "shop", "--days", "30", *here)
    secret = out.strip()
    assert code == 0 and secret.startswith("mk_") and "once" in err
    code, out, _ = run(capsys, "keys", "create", "desk", "--json", *here)
    made = json.loads(out)
    assert made["secret"].startswith("mk_") and made["key"]["name"] == "desk"
    assert run(capsys, "keys", "create", "desk", *here)[0] == 2, "names differ"
    assert run(capsys, "keys", "create", "old", "--days", "-1", *here)[0] == 2
    _, out, _ = run(capsys, "keys", "list", *here)
    assert "shop" in out and made["key"]["id"] in out and secret not in out
    code, out, _ = run(capsys, "keys", "revoke", made["key"]["id"], *here)
    assert code == 0 and out == f"revoked desk  {made['key']['id']}\n"
    _, out, _ = run(capsys, "keys", "list", "--json", *here)
    assert [bool(one["revoked_at"]) for one in json.loads(out)] == [False, True]
    code, _, err = run(capsys, "keys", "revoke", "shopp", *here)
    assert code == 2 and "did you mean 'shop'" in err


@dataclass
class Acknowledged:
    """What clients were told is done: reply ids, and feedback ids by reply."""

    replies: list[str] = field(default_factory=list)
    feedback: dict[str, str] = field(default_factory=dict)
    kills: int = 0


def load(url: str, done: Acknowledged) -> None:
    """Ask and give feedback until the server is gone."""
    with httpx.Client(base_url=url, timeout=5) as client:
        while True:
            try:
                answer = client.post("/v1/chat/completions", json=ASKED)
                reply = answer.raise_for_status().json()["id"]
                done.replies.append(reply)
                said = {"metric_name": "rating", "value": 4, "inference_id": reply}
                stored = client.post("/v1/feedback", json=said).raise_for_status().json()
                done.feedback[reply] = stored["feedback_id"]
            except httpx.TransportError:
                return


def kill_under_load(folder: Path, done: Acknowledged, after: int) -> None:
    """Serve under load; ``kill -9`` once ``after`` more replies were acknowledged."""
    enough = len(done.feedback) + after
    with Process(folder) as process:
        clients = [threading.Thread(target=load, args=(process.url, done)) for _ in range(CLIENTS)]
        for one in clients:
            one.start()
        wait_until(lambda: len(done.feedback) >= enough)
        os.kill(process.popen.pid, signal.SIGKILL)
        for one in clients:
            one.join()
    done.kills += 1


def check_nothing_is_lost(folder: Path, done: Acknowledged) -> None:
    with open_session(folder / "metier.toml") as session:
        ws = session.workspace
        replies = Counter(one.id for one in ledger.list_interactions(ws))
        said = ledger.list_feedback(ws, history=True)
    assert all(replies[one] == 1 for one in done.replies)
    assert Counter(one.interaction_id for one in said).most_common(1)[0][1] == 1
    stored = {one.interaction_id: one.id for one in said}
    assert stored | done.feedback == stored
    assert len(replies) - len(done.replies) <= CLIENTS * done.kills


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="once"), pytest.param(20, marks=pytest.mark.slow, id="often")]
)
def test_a_kill_loses_nothing_that_was_acknowledged(
    tmp_path: Path, upstream: FakeUpstream, database_url: str, rounds: int
) -> None:
    write_project(tmp_path, upstream.config, store=database_url)
    done = Acknowledged()
    for number in range(rounds):
        kill_under_load(tmp_path, done, after=10 + 3 * number)
        check_nothing_is_lost(tmp_path, done)
