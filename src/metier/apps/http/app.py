"""The app: routers, and the layers that every request passes on its way to them.

AccessLog -> Guard -> BodyLimit -> routers
(id, log, bugs)  (host, origin, key)  (413, 408)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from metier import __version__
from metier.apps.http import annotation, health, openai
from metier.apps.http.access import AccessLog
from metier.apps.http.auth import Guard
from metier.apps.http.errors import add_handlers
from metier.apps.http.limits import BodyLimit
from metier.apps.http.served import Served
from metier.journey.session import Session
from metier.privacy import Egress
from metier.serve.gateway import Gateway

if TYPE_CHECKING:
    from metier.models.base import Base

Part = Literal["api", "web"]


def make_app(
    session: Session,
    only: Part | None = None,
    *,
    host: str | None = None,
    gateway: Gateway | None = None,
) -> FastAPI:
    """Make the app that serves a project.

    ``only`` "api" leaves the pages out, "web" the API; ``host`` is the address it will be bound
    to (None: that of ``[serve]``); ``gateway`` takes the place of the project's own.
    """
    if only == "web":
        gateway = None
    elif gateway is None:
        gateway = make_gateway(session)
    served = Served(session, gateway, host or session.project.serve.host)
    app = _bare_app(lifespan)
    app.state.served = served
    app.include_router(health.router)
    if only != "web":
        app.include_router(openai.router)
        app.include_router(annotation.router)
    if only != "api":
        add_pages(app, served)
    add_layers(app, served)
    return app


def make_gateway(session: Session) -> Gateway:
    """The gateway of a project; nothing is loaded before it is started."""
    project, ws = session.project, session.workspace
    egress = Egress(project.privacy, ws.audit)
    return Gateway(ws, project.serve, egress, lambda name: load_base_of(session, name))


def load_base_of(session: Session, name: str) -> Base:
    """Load a release's base by name; a relative path means relative to metier.toml."""
    from metier.models.base import load_base

    local = session.root / name
    allowed = session.project.project.trust_remote_code
    return load_base(str(local) if local.is_dir() else name, allow_remote_code=allowed)


def api_schema() -> dict[str, Any]:
    """The OpenAPI schema of the API, for the reference."""
    app = _bare_app(None)
    app.include_router(health.router)
    app.include_router(openai.router)
    app.include_router(annotation.router)
    return app.openapi()


def add_pages(app: FastAPI, served: Served) -> None:
    """Add the web pages and their files."""
    from metier.apps.http.pages import STATIC, make_pages

    app.include_router(make_pages(served.session, served.gateway))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def add_layers(app: FastAPI, served: Served) -> None:
    """Wrap the routers; what is added last is passed first."""
    config = served.config
    app.add_middleware(BodyLimit, most_bytes=config.max_body_bytes, within_s=config.timeout_s)
    app.add_middleware(Guard, served=served)
    app.add_middleware(AccessLog)
    add_handlers(app)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the gateway; at the end let it finish what runs."""
    gateway = app.state.served.gateway
    if gateway is not None:
        gateway.start()
    try:
        yield
    finally:
        if gateway is not None:
            await gateway.drain()
            await run_in_threadpool(gateway.close)


def _bare_app(lifespan: Any) -> FastAPI:
    # The interactive documents that FastAPI adds load scripts from elsewhere: left out.
    return FastAPI(
        title="metier",
        version=__version__,
        summary="A specialist model behind the OpenAI API, and what its users say of it.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
