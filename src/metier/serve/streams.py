"""Replies in pieces: identifiers put back, the whole stored before the last piece goes out."""

from __future__ import annotations

import asyncio
import re
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Self

from metier.core.errors import Draining
from metier.core.records import InteractionState
from metier.core.types import Completion
from metier.serve.keeper import Keeper
from metier.serve.outcomes import finish_of, outcome_of
from metier.serve.roundtrip import Restorer
from metier.serve.tickets import Event, Ticket
from metier.serve.types import ChatReply, Piece

_Made = tuple[Piece, str]
_WORDS = re.compile(r"\s*\S+\s*|\s+")


class Events:
    """From a worker's thread to the loop that hands out the pieces. Without bound: a reply has."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Hand over, from any thread."""
        self.call(partial(self._queue.put_nowait, event))

    def call(self, callback: Callable[[], None]) -> None:
        """Have the loop call something, from any thread."""
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop has ended, and whoever waited with it
            return

    async def get(self) -> Event:
        """Wait for the next one."""
        return await self._queue.get()


class ReplyStream:
    """A reply as it is made: ``async for piece in stream``. Close it (``aclose``) after use.

    A consumer that goes away before the last piece (``aclose``, a cancelled task, or a stream
    that is dropped) leaves a reply that is stored as "cancelled", with what had been sent.
    """

    def __init__(self, making: Making) -> None:
        ticket = making.ticket
        self.id: str = ticket.id
        self.created: datetime = ticket.created
        self.model: str = ticket.model.name
        self.release: str | None = ticket.model.release.name if ticket.model.release else None
        self._making = making
        # What is dropped without having been closed would count as running for ever.
        weakref.finalize(self, making.drop).atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        return await self._making.next_piece()

    async def aclose(self) -> None:
        """Stop; nothing happens when the last piece was handed out."""
        self._making.leave()
        await self._making.aclose()


class Making:
    """The work behind a stream: from the worker's events to pieces, and to what is stored."""

    def __init__(
        self, ticket: Ticket, events: Events, keeper: Keeper, on_end: Callable[[Making], None]
    ) -> None:
        self.ticket = ticket
        self._events, self._keeper, self._on_end = events, keeper, on_end
        self._choices = [_Choice(ticket) for _ in range(ticket.request.n)]
        self._first_token_s: float | None = None
        self._made = self._make()
        self._ahead: list[_Made] = []

    async def begin(self) -> None:
        """Wait for the first piece."""
        self._ahead = [await self._next()]

    async def next_piece(self) -> Piece:
        """Return the next piece, noting that it was sent. Raises StopAsyncIteration."""
        piece, raw = self._ahead.pop() if self._ahead else await self._next()
        self._choices[piece.index].sent.append(raw)
        return piece

    def leave(self) -> None:
        """Store what was sent as cancelled, unless the reply has ended. From any thread."""
        if self.ticket.abandon():
            self._keep("cancelled", None)

    def drop(self) -> None:
        """Leave soon: this comes from the garbage collector, which may run under any lock."""
        self._events.call(self.leave)

    def refuse(self, error: Draining) -> None:
        """Have the consumer get an error in place of the next piece."""
        self._events.put(error)

    async def aclose(self) -> None:
        """Make nothing more."""
        await self._made.aclose()

    async def _next(self) -> _Made:
        try:
            return await anext(self._made)
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError:
            self.leave()
            raise
        except Exception as error:
            if self.ticket.claim():
                self._keep("cancelled" if isinstance(error, Draining) else "failed", error)
            raise

    async def _make(self) -> AsyncGenerator[_Made, None]:
        """Make pieces of the events, each with the model's own text that is in it."""
        event = await self._events.get()
        streamed = isinstance(event, str)
        while isinstance(event, str):
            for made in self._fed(0, event):
                yield made
            event = await self._events.get()
        if isinstance(event, BaseException):
            raise event
        choices = list(event) * (self.ticket.request.n // len(event))
        for index, one in enumerate(choices):
            words = [] if streamed else _WORDS.findall(one.text)
            for made in [m for word in words for m in self._fed(index, word)]:
                yield made
            rest = self._choices[index].restorer.rest()
            if rest:
                yield Piece(index, rest), rest
        reply = await self._stored(event)
        if reply is None:
            return
        for index, one in enumerate(choices):
            last = index == len(choices) - 1
            yield Piece(index, "", finish_of(one), reply if last else None), ""

    def _fed(self, index: int, text: str) -> list[_Made]:
        if self._first_token_s is None:
            self._first_token_s = time.monotonic() - self.ticket.began
        restored, raw = self._choices[index].feed(text)
        return [(Piece(index, restored), raw)] if restored else []

    async def _stored(self, completions: Sequence[Completion]) -> ChatReply | None:
        """Store the whole reply; None when the consumer has gone."""
        if not self.ticket.claim():
            return None
        try:
            outcome = outcome_of(self.ticket, completions, "done", self._first_token_s)
            await asyncio.to_thread(self._keeper.save, [outcome])
        finally:
            self._on_end(self)
        return outcome.reply

    def _keep(self, state: InteractionState, error: Exception | None) -> None:
        sent = [Completion("".join(choice.sent)) for choice in self._choices]
        kept = sent if any(one.text for one in sent) else []
        outcome = outcome_of(self.ticket, kept, state, self._first_token_s, error)
        self._keeper.save_later(outcome)
        self._on_end(self)


class _Choice:
    """One choice in the making: what is held back, and what was sent of the model's own text."""

    def __init__(self, ticket: Ticket) -> None:
        in_json = ticket.model.in_json
        self.restorer = Restorer(ticket.cleaned.originals, in_json=in_json)
        self.sent: list[str] = []

    def feed(self, text: str) -> tuple[str, str]:
        """Return what can be sent now, restored and as the model said it."""
        raw = self.restorer.held + text
        restored = self.restorer.feed(text)
        return restored, raw[: len(raw) - len(self.restorer.held)]
