"""This process serving a release to itself, for a comparison: on loopback, on a free port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from metier.apps.http.app import make_app
from metier.apps.http.server import Server, bind, url_of
from metier.core.errors import ModelUnavailable
from metier.journey.parity import ServedAt
from metier.journey.session import Session
from metier.registry import get_release

LOOPBACK = "127.0.0.1"
READY_S = 600.0
STOP_S = 30.0
CHECK_S = 0.05


@contextmanager
def serving(session: Session, key: str) -> Iterator[ServedAt]:
    """Serve the project's API while the block runs; yield where a release answers.

    Raises NotFound for an unknown release, ModelUnavailable when the server does not get ready.
    """
    release = get_release(session.workspace, key)
    up = threading.Event()
    with bind(LOOPBACK, 0) as taken:
        app = make_app(session, "api", host=LOOPBACK)
        url, server = url_of(taken), Server(app, up.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        try:
            _wait(lambda: up.is_set() and app.state.served.ready, thread)
            yield ServedAt(f"{url}/v1", release.name, own=True)
        finally:
            server.should_exit = True
            thread.join(STOP_S)


def _wait(ready: Callable[[], bool], thread: threading.Thread) -> None:
    until = time.monotonic() + READY_S
    while not ready():
        if time.monotonic() > until or not thread.is_alive():
            raise ModelUnavailable("the API to be served here", got="a server that did not start")
        time.sleep(CHECK_S)
