"""What the routers and the layers around them share: the open project and who answers in it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, cast

from fastapi import Depends, Request

from metier.core.errors import Draining
from metier.journey.session import Session
from metier.serve.config import ServeConfig
from metier.serve.gateway import Gateway

API = "/v1"
RETRY_WHEN_STOPPING_S = 5


@dataclass
class Served:
    """One served project. ``gateway`` None: no model answers here (pages only). ``host`` is the
    address it is bound to; ``draining`` is set once the server was asked to stop."""

    session: Session
    gateway: Gateway | None
    host: str
    draining: bool = False

    @property
    def config(self) -> ServeConfig:
        """The section ``[serve]``."""
        return self.session.project.serve

    @property
    def exposed(self) -> bool:
        """Whether others than the people of this machine can reach it."""
        return not is_loopback(self.host) or self.config.public_url is not None

    @property
    def needs_key(self) -> bool:
        """Whether every request to the API must carry a key, also where nobody has an account."""
        return self.config.require_key or self.exposed

    @property
    def ready(self) -> bool:
        """Whether it may take traffic."""
        return not self.draining and (self.gateway is None or self.gateway.ready())

    @property
    def answering(self) -> Gateway:
        """The gateway. Raises Draining where none answers: the API is not served then."""
        if self.gateway is None:
            raise Draining("a server that answers", got="one that serves pages only")
        return self.gateway


def served_of(request: Request) -> Served:
    """Return what the app that took this request serves."""
    return cast(Served, request.app.state.served)


Here = Annotated[Served, Depends(served_of)]


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that is bound to ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
