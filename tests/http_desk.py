"""Served projects for the tests of the HTTP API: in this process, on a port, as a process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from metier.apps.http.app import make_app
from metier.apps.http.server import Server, bind, url_of
from metier.core.completer import Completer
from metier.feedback.collect import collect
from metier.journey.session import Session, open_session
from metier.privacy import Egress
from metier.serve import Gateway

PATIENCE_S = 20.0
HERE = "http://127.0.0.1:8421"
PROJECT = """
[project]
name = "desk"
[objective]
task = "chat"
[serve]
port = 0
batch_wait_ms = 0
max_choices = 4
"""


def write_project(folder: Path, more: str = "", *, store: str | None = None) -> Path:
    """Write a project file; ``more`` goes on at its section ``[serve]``."""
    folder.mkdir(parents=True, exist_ok=True)
    head = f'store = "{store}"\n' if store else ""
    file = folder / "metier.toml"
    file.write_text(head + PROJECT + more)
    return file


@contextmanager
def opened(folder: Path, more: str = "") -> Iterator[Session]:
    with open_session(write_project(folder, more)) as session:
        yield session


def gateway_of(session: Session, model: Completer) -> Gateway:
    """The project's gateway, in which ``model`` answers for every release."""
    project, ws = session.project, session.workspace
    return Gateway(
        ws,
        project.serve,
        Egress(project.privacy, ws.audit),
        open_release=lambda release, manifest: model,
    )


def desk_app(session: Session, model: Completer, **settings: Any) -> FastAPI:
    return make_app(session, "api", gateway=gateway_of(session, model), **settings)


def collect_failures(session: Session) -> None:
    """Fill the queue of corrections."""
    project = session.project
    collect(session.workspace, project.feedback, project.objective, ())


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The app on a port of its own; gives its URL."""
    up = threading.Event()
    with bind("127.0.0.1", 0) as taken:
        url, server = url_of(taken), Server(app, up.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            assert up.wait(PATIENCE_S)
            wait_until(lambda: app.state.served.ready)
            yield url
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.005)


def raw_request(url: str, head: str, body: bytes = b"") -> socket.socket:
    """Send a request as it is written; return the connection."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    lines = head.strip().replace("\n", "\r\n")
    connection.sendall(f"{lines}\r\nHost: {host}:{port}\r\n\r\n".encode() + body)
    return connection


class IdleGateway:
    """What a gateway needs beside answers, doing nothing."""

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    async def drain(self, seconds: float | None = None) -> None:
        pass


class FakeUpstream:
    """An OpenAI-compatible server that says what it was asked; ``gate`` holds its answers."""

    def __init__(self) -> None:
        self.gate, self.asked = threading.Event(), threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.set()
                outer.gate.wait(PATIENCE_S)
                text = f"echo {body['messages'][-1]['content']}"
                choice = {"message": {"content": text}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 5, "completion_tokens": 2}
                answer = json.dumps({"choices": [choice], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> FakeUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def config(self) -> str:
        """The lines of metier.toml that make it the model "far"."""
        return (
            f'[[serve.upstream]]\nname = "far"\nurl = "http://127.0.0.1:{self.port}/v1"\n'
            'model = "big"\n[[privacy.egress]]\nhost = "127.0.0.1"\npurpose = "serve"\n'
            'agreement = "this machine"\n'
        )


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", "from metier.apps.cli import main; main()", *words,
            "--project", str(folder)]  # fmt: skip


class Process:
    """``metier serve`` as a process of its own. ``log`` takes what it writes to standard error:
    a pipe that nobody reads holds up a server once it is full."""

    def __init__(
        self, folder: Path, *words: str, only: str = "api", log: Path | None = None
    ) -> None:
        with ExitStack() as stack:
            told_to = subprocess.PIPE if log is None else stack.enter_context(log.open("ab"))
            self.popen = subprocess.Popen(
                command(folder, "serve", "--only", only, "--json", *words),
                stdout=subprocess.PIPE,
                stderr=told_to,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise AssertionError(self.popen.communicate()[1] if log is None else log.read_text())
        told = json.loads(line)
        self.url: str = told["url"]
        assert told["pid"] == self.popen.pid

    def end(self) -> tuple[int, str, str]:
        """Wait until it has ended; exit code, and what else it wrote to both outputs."""
        out, err = self.popen.communicate(timeout=PATIENCE_S)
        return self.popen.returncode, out, err

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()
