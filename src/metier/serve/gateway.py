"""Gateway: takes questions, has them answered in batches, keeps every reply."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Self

from metier.core.completer import Completer
from metier.core.records import Release
from metier.core.workspace import Workspace
from metier.privacy import Egress
from metier.registry import Manifest
from metier.serve.config import ServeConfig
from metier.serve.types import ChatReply, ChatRequest, ModelCard, Piece

if TYPE_CHECKING:
    from metier.models.base import Base

OpenRelease = Callable[[Release, Manifest], Completer]


class ReplyStream:
    """A reply as it is made: ``async for piece in stream``. Close it (``aclose``) after use.

    A consumer that goes away before the last piece (``aclose``, or a cancelled task) leaves a
    reply that is stored as "cancelled", with what had been sent.
    """

    id: str
    created: datetime
    model: str
    release: str | None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stop; nothing happens when the last piece was handed out."""
        raise NotImplementedError


class Gateway:
    """Answers for the releases and upstreams of one workspace.

    ``load_base`` loads a base model by name; ``open_release`` takes its place where something
    else is to answer for a release (tests). ``start`` before the first request, ``close`` last.
    """

    def __init__(
        self,
        ws: Workspace,
        config: ServeConfig,
        egress: Egress,
        load_base: Callable[[str], Base] | None = None,
        open_release: OpenRelease | None = None,
    ) -> None:
        self.config = config

    def start(self) -> None:
        """Start the worker; it loads the champion first, and ``ready`` says when that is done."""
        raise NotImplementedError

    def models(self) -> list[ModelCard]:
        """Every name that can be asked for: aliases, releases newest first, upstreams."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether requests should be sent here: started, loaded, and not draining."""
        raise NotImplementedError

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Answer; the reply is stored before this returns.

        Raises NotFound (unknown model), InputError (a wrong request), Overloaded, TimedOut,
        Draining, ModelUnavailable, EgressRefused, OutOfSpace; BoundaryError when the model or the
        store failed.
        """
        raise NotImplementedError

    async def stream(self, request: ChatRequest) -> ReplyStream:
        """Answer in pieces; returns once there is a first one, so refusals are raised here."""
        raise NotImplementedError

    async def drain(self, seconds: float | None = None) -> None:
        """Take nothing new, give what runs ``seconds`` (None: ``drain_s``), then fail the rest."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the threads; whoever still waits is told that the server is stopping."""
        raise NotImplementedError
