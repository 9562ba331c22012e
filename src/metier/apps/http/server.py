"""The server process: binds, says when it is ready, and ends without losing what runs."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from metier.apps.http.app import Part, make_app
from metier.apps.http.auth import check_bind
from metier.apps.http.served import Served
from metier.core.errors import UserError
from metier.journey.session import Session

LONGEST_HEADERS = 32_768
LAST_BYTES_S = 5  # for slow readers, once all replies are made
Ready = Callable[[str], None]


def serve(
    session: Session,
    *,
    host: str | None = None,
    port: int | None = None,
    only: Part | None = None,
    on_ready: Ready,
) -> None:
    """Serve a project until SIGTERM or Ctrl-C; then finish what runs and return.

    ``host`` and ``port`` None: those of ``[serve]``. ``on_ready`` gets the URL once requests are
    taken. Raises UserError when the address is in use or may not be bound.
    """
    config = session.project.serve
    host = host or config.host
    check_bind(session.workspace, host, only_api=only == "api", public_url=config.public_url)
    with bind(host, config.port if port is None else port) as listening:
        app = make_app(session, only, host=host)
        url = url_of(listening)
        Server(app, lambda: on_ready(url)).run(sockets=[listening])


class Server(uvicorn.Server):
    """Takes requests while it drains, to refuse them in words; a second signal cuts that short."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(server_config(app))
        self._served: Served = app.state.served
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drains: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell that it is ready."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; when asked again, give up what still runs."""
        if self._loop is None or not self.started:
            self.should_exit = True
        else:
            within_s = 0.0 if self._served.draining else None
            self._served.draining = True
            self._loop.call_soon_threadsafe(self._begin_drain, within_s)

    def _begin_drain(self, within_s: float | None) -> None:
        self._drains.append(asyncio.create_task(self._drain(within_s)))

    async def _drain(self, within_s: float | None) -> None:
        try:
            if self._served.gateway is not None:
                await self._served.gateway.drain(within_s)
        finally:
            self.should_exit = True


def server_config(app: FastAPI) -> uvicorn.Config:
    """How uvicorn runs: one parser whatever is installed, no logging of its own, no sockets but
    HTTP."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        timeout_graceful_shutdown=LAST_BYTES_S,
    )


def bind(host: str, port: int) -> socket.socket:
    """Take an address. Raises UserError when it is in use, not this machine's, or not permitted."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        # localhost has two addresses: most clients try the older kind.
        found.sort(key=lambda one: one[0] != socket.AF_INET)
        family, kind, proto, _, address = found[0]
        listening = socket.socket(family, kind, proto)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise UserError(
            f"an address that can be bound, as {host} port {port}",
            got=(error.strerror or str(error)).lower(),
            remedy="stop what listens there, or choose another with --port or --host",
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL that an address is reached under."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def log_to_stderr() -> None:
    """Send the access log, bugs and the server's warnings to standard error, one line each."""
    to_stderr = logging.StreamHandler(sys.stderr)
    for name, level in (("metier", logging.INFO), ("uvicorn", logging.WARNING)):
        log = logging.getLogger(name)
        log.setLevel(level)
        log.addHandler(to_stderr)
        log.propagate = False
