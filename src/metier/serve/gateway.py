"""Gateway: takes questions, has them answered in batches, keeps every reply.

    gateway = Gateway(ws, project.serve, egress, load_base)
    gateway.start()
    reply = await gateway.chat(ChatRequest("champion", conversation))

A request is looked up and de-identified, waits for its batch, is answered, stored, and handed
out, in this order: what a client has received is in the database.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from metier.core.errors import InputError, NotFound, TimedOut
from metier.core.workspace import Workspace
from metier.privacy import Egress
from metier.serve.admission import Admission, stopping
from metier.serve.batching import Worker
from metier.serve.config import ServeConfig
from metier.serve.engines import Engines, LoadBase, OpenRelease, release_opener
from metier.serve.keeper import Keeper
from metier.serve.names import Model, Names
from metier.serve.streams import Events, Making, ReplyStream
from metier.serve.tickets import Sink, Ticket
from metier.serve.types import ChatReply, ChatRequest, ModelCard
from metier.serve.upstreams import Upstreams

if TYPE_CHECKING:
    from metier.models.base import Base

__all__ = ["Gateway", "ReplyStream"]
DRAIN_CHECK_S = 0.02
CLOSE_S = 5.0


class Gateway:
    """Answers for the releases and upstreams of one workspace.

    ``load_base`` loads a base model by name (None: ``models.base.load_base``); ``open_release``
    takes the place of all loading (tests). ``start`` before the first request, ``close`` last.
    """

    def __init__(
        self,
        ws: Workspace,
        config: ServeConfig,
        egress: Egress,
        load_base: LoadBase | None = None,
        open_release: OpenRelease | None = None,
    ) -> None:
        self.config = config
        self._names = Names(ws, config.upstream)
        self._keeper = Keeper(ws)
        opener = open_release or release_opener(ws, load_base or _load_base)
        self._worker = Worker(Engines(opener, config.keep_loaded), self._keeper, config)
        self._upstreams = Upstreams(config, egress, self._keeper)
        self._admission = Admission(config.max_waiting)
        self._tickets: set[Ticket] = set()
        self._streams: set[Making] = set()
        self._started = False

    def start(self) -> None:
        """Start the threads; the champion is loaded first, and ``ready`` says when that is done."""
        self._worker.start(self._champion())
        self._upstreams.start()
        self._started = True

    def models(self) -> list[ModelCard]:
        """Every name that can be asked for: aliases, releases newest first, upstreams."""
        return self._names.cards()

    def ready(self) -> bool:
        """Whether requests should be sent here: started, a model loaded where there is one, and
        not draining."""
        return self._started and self._worker.loaded.is_set() and not self._admission.draining

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Answer; the reply is stored before this returns.

        Raises NotFound (unknown model), InputError (a wrong request), Overloaded, TimedOut,
        Draining, ModelUnavailable, EgressRefused, OutOfSpace; BoundaryError when the model or the
        store failed.
        """
        until = time.monotonic() + self.config.timeout_s
        self._check(request)
        self._admission.enter()
        try:
            ticket = await asyncio.to_thread(self._ticket, request)
            self._tickets.add(ticket)
            try:
                self._submit(ticket)
                return await self._answer(ticket, until)
            finally:
                self._tickets.discard(ticket)
        finally:
            self._admission.leave()

    async def stream(self, request: ChatRequest) -> ReplyStream:
        """Answer in pieces. Returns once there is a first one, so that what ``chat`` raises is
        raised here; what comes after that has no time limit but that of its length."""
        until = time.monotonic() + self.config.timeout_s
        self._check(request)
        self._admission.enter()
        try:
            events = Events()
            ticket = await asyncio.to_thread(self._ticket, request, events.put)
        except BaseException:
            self._admission.leave()
            raise
        making = Making(ticket, events, self._keeper, self._ended)
        self._streams.add(making)
        self._submit(ticket)
        try:
            await asyncio.wait_for(making.begin(), until - time.monotonic())
        except TimeoutError:
            making.leave()
            raise self._timed_out() from None
        except BaseException:
            making.leave()
            raise
        return ReplyStream(making)

    async def drain(self, seconds: float | None = None) -> None:
        """Take nothing new, give what runs ``seconds`` (None: ``drain_s``), then fail the rest."""
        self._admission.draining = True
        until = time.monotonic() + (self.config.drain_s if seconds is None else seconds)
        while self._admission.inside and time.monotonic() < until:
            await asyncio.sleep(DRAIN_CHECK_S)
        self._give_up()

    def close(self) -> None:
        """Stop the threads; whoever still waits is told that the server is stopping."""
        self._admission.draining = True
        self._give_up()
        for making in list(self._streams):
            making.leave()
        if self._started:
            self._worker.close(CLOSE_S)
            self._upstreams.close()
        self._keeper.close()

    def _champion(self) -> Model | None:
        try:
            return self._names.find("champion")
        except NotFound:
            return None

    def _check(self, request: ChatRequest) -> None:
        if not 1 <= request.n <= self.config.max_choices:
            raise InputError(f"n from 1 to {self.config.max_choices}", got=str(request.n))
        if not request.conversation.messages:
            raise InputError("at least one message", got="none")
        if request.sampling.temperature < 0 or request.sampling.max_tokens < 0:
            raise InputError("temperature and max_tokens of 0 or more", got="a negative number")

    def _ticket(self, request: ChatRequest, sink: Sink | None = None) -> Ticket:
        return Ticket(request, self._names.find(request.model), self.config, sink)

    def _submit(self, ticket: Ticket) -> None:
        answering = self._worker if ticket.model.upstream is None else self._upstreams
        answering.submit(ticket)

    async def _answer(self, ticket: Ticket, until: float) -> ChatReply:
        answer = asyncio.wrap_future(ticket.future)
        try:
            left = max(0.0, until - time.monotonic())
            answered, _ = await asyncio.wait({answer}, timeout=left)
        except asyncio.CancelledError:
            self._keeper.give_up(ticket)
            raise
        if not answered and self._keeper.give_up(ticket):
            raise self._timed_out()
        return await answer  # where it was too late to give up, the reply is being stored

    def _timed_out(self) -> TimedOut:
        return TimedOut(
            f"an answer within {self.config.timeout_s:g} s",
            got="none",
            remedy="ask for fewer tokens, or raise [serve] timeout_s",
        )

    def _give_up(self) -> None:
        for ticket in list(self._tickets):
            if self._keeper.give_up(ticket):
                ticket.future.set_exception(stopping())
        for making in list(self._streams):
            making.refuse(stopping())

    def _ended(self, making: Making) -> None:
        self._streams.discard(making)
        self._admission.leave()


def _load_base(name: str) -> Base:
    from metier.models.base import load_base

    return load_base(name)
