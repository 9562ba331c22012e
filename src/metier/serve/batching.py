"""The worker: one thread that owns the models and answers what waits, batch by batch.

While a batch runs the next one forms. A batch holds waiting tickets of one release and equal
sampling, oldest first. Replies that are handed on as they are written take turns with the
batches, some pieces at a time, so that neither keeps the other waiting for long.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from metier.core.completer import StreamingCompleter
from metier.core.errors import BoundaryError, MetierError, boundary
from metier.core.types import Completion
from metier.serve.answering import answer_batch
from metier.serve.config import ServeConfig
from metier.serve.engines import Engines
from metier.serve.keeper import Keeper, unquoted
from metier.serve.names import Model
from metier.serve.outcomes import joined_pieces
from metier.serve.tickets import Answer, Sink, Ticket

log = logging.getLogger("metier.serve")
PIECES_A_TURN = 8


@dataclass
class Written:
    """A reply that is handed on as it is written."""

    ticket: Ticket
    pieces: Iterator[str]
    text: list[str] = field(default_factory=list)

    def advance(self, sink: Sink, most: int) -> bool:
        """Hand on up to ``most`` pieces; False when that was the end. Raises what the model
        raises, foreign errors as BoundaryError."""
        for _ in range(most):
            if self.ticket.abandoned:
                return False
            with boundary("answering"):
                piece = _next(self.pieces)
            if not isinstance(piece, str):
                sink([joined_pieces(piece, self.text)])
                return False
            self.text.append(piece)
            sink(piece)
        return True

    def close(self) -> None:
        """Stop writing."""
        close = getattr(self.pieces, "close", None)
        if close is not None:
            close()


class Worker:
    """Answers tickets on a thread of its own. ``loaded`` is set once a release was loaded, or
    there was none to load at the start."""

    def __init__(self, engines: Engines, keeper: Keeper, config: ServeConfig) -> None:
        self._engines, self._keeper, self._config = engines, keeper, config
        self._waiting: deque[tuple[float, Ticket]] = deque()
        self._written: list[Written] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.loaded = threading.Event()

    def start(self, first: Model | None) -> None:
        """Start; ``first`` is loaded before anything is answered."""
        self._thread = threading.Thread(
            target=self._run, args=(first,), name="metier-models", daemon=True
        )
        self._thread.start()

    def submit(self, ticket: Ticket) -> None:
        """Have a ticket answered."""
        with self._changed:
            self._waiting.append((time.monotonic(), ticket))
            self._changed.notify()

    def close(self, wait_s: float) -> None:
        """Stop after the batch that runs; what waits is left unanswered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _run(self, first: Model | None) -> None:
        self._warm(first)
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            try:
                self._answer(batch)
                self._advance()
            except Exception as error:  # nothing that happens to one batch ends the thread
                self._fail(batch, unquoted("answering", error))

    def _warm(self, first: Model | None) -> None:
        if first is None:
            return self.loaded.set()
        try:
            self._engines.get(first)
            self.loaded.set()
        except MetierError as error:
            log.error("%s cannot be loaded: %s", first.name, error)

    def _next_batch(self) -> list[Ticket] | None:
        """Wait for the next batch; [] when there are only replies to go on with, None at the
        end."""
        with self._changed:
            while not self._closed:
                first = self._first()
                left = None if first is None else self._wait_left(*first)
                if first is not None and left is not None and left <= 0:
                    return self._take(first[1].batch_key)
                if self._written:
                    return []
                self._changed.wait(left)
            return None

    def _first(self) -> tuple[float, Ticket] | None:
        """The oldest ticket that can be answered now, and since when it waits."""
        full = len(self._written) >= self._config.max_batch
        return next((one for one in self._waiting if not (full and one[1].may_stream)), None)

    def _wait_left(self, since: float, first: Ticket) -> float:
        """Seconds for which its batch is still to be filled."""
        key = first.batch_key
        matching = sum(ticket.batch_key == key for _, ticket in self._waiting)
        if matching >= self._config.max_batch or key[-1] or self._written:
            return 0.0
        return since + self._config.batch_wait_ms / 1000 - time.monotonic()

    def _take(self, key: tuple[object, ...]) -> list[Ticket]:
        """Take what is answered in one batch, oldest first, up to ``max_batch`` rows."""
        rows = 0
        taken: list[Ticket] = []
        left: deque[tuple[float, Ticket]] = deque()
        for since, ticket in self._waiting:
            if ticket.abandoned:
                continue
            fits = not taken or rows + ticket.copies <= self._config.max_batch
            if ticket.batch_key == key and fits:
                taken.append(ticket)
                rows += ticket.copies
            else:
                left.append((since, ticket))
        self._waiting = left
        return taken

    def _answer(self, batch: list[Ticket]) -> None:
        if not batch:
            return
        try:
            completer = self._engines.get(batch[0].model)
            self.loaded.set()
        except BoundaryError as error:
            return self._fail(batch, unquoted(f"loading {batch[0].model.name}", error))
        except MetierError as error:
            return self._fail(batch, error)
        if batch[0].may_stream and completer.capabilities.streams:
            pieces = cast(StreamingCompleter, completer).stream(batch[0].prompt, batch[0].sampling)
            self._written.append(Written(batch[0], pieces))
        else:
            deliver(self._keeper, list(zip(batch, answer_batch(completer, batch), strict=True)))

    def _advance(self) -> None:
        for one in list(self._written):
            if not self._goes_on(one):
                self._written.remove(one)
                one.close()

    def _goes_on(self, one: Written) -> bool:
        try:
            return one.ticket.sink is not None and one.advance(one.ticket.sink, PIECES_A_TURN)
        except BoundaryError as error:
            self._fail([one.ticket], unquoted(f"answering with {one.ticket.model.name}", error))
        except MetierError as error:
            self._fail([one.ticket], error)
        return False

    def _fail(self, batch: list[Ticket], error: MetierError) -> None:
        deliver(self._keeper, [(ticket, error) for ticket in batch])


def deliver(keeper: Keeper, answered: list[tuple[Ticket, Answer]]) -> None:
    """Settle tickets in one transaction; streams get theirs, which they store themselves."""
    for ticket, answer in answered:
        if ticket.sink is not None:
            ticket.sink(answer if isinstance(answer, Exception) else list(answer))
    settled = [(ticket, answer) for ticket, answer in answered if ticket.sink is None]
    if settled:
        keeper.settle(settled)


def _next(pieces: Iterator[str]) -> str | Completion | None:
    """The next piece, or at the end what the generator returned."""
    try:
        return next(pieces)
    except StopIteration as end:
        found: Completion | None = end.value
        return found
