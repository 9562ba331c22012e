"""Tickets: requests on their way through the gateway.

A ticket is claimed once, by whoever has its answer, or abandoned once, by whoever no longer waits
for it. Whoever comes first stores what became of it, so every ticket is stored exactly once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from metier.core.completer import Sampling
from metier.core.ledger import new_interaction_id
from metier.core.types import Completion, Conversation
from metier.models.prompt import TUNED, render_prompt
from metier.serve.config import ServeConfig
from metier.serve.names import Model
from metier.serve.roundtrip import clean
from metier.serve.types import ChatReply, ChatRequest

Event = str | list[Completion] | BaseException
"""To a stream: text as it is made, then the whole answer; or what went wrong."""
Sink = Callable[[Event], None]


class Ticket:
    """One admitted request. ``sink`` takes the answer of a stream, ``future`` any other's.

    ``sampling`` is what the model is run with, ``limit`` and ``stop`` what is applied to a filled
    in reply afterwards (limit in tokens, 0: none).
    """

    def __init__(
        self, request: ChatRequest, model: Model, config: ServeConfig, sink: Sink | None = None
    ) -> None:
        self.id = new_interaction_id()
        self.created = datetime.now(UTC)
        self.began = time.monotonic()
        self.request, self.model, self.sink = request, model, sink
        self.cleaned = clean(request.conversation, model.identify)
        self.prompt = _prompt(self.cleaned.conversation, model)
        self.sampling = _sampling(request.sampling, model, config)
        self.limit = request.sampling.max_tokens if model.shaped else 0
        self.stop = request.sampling.stop if model.shaped else ()
        self.future: Future[ChatReply] = Future()
        self.future.set_running_or_notify_cancel()  # its waiters come and go; it is never cancelled
        self._lock = threading.Lock()
        self._state = "open"

    @property
    def sampled(self) -> bool:
        """Whether chance plays a part in the reply."""
        return self.sampling.temperature > 0 and self.model.writes

    @property
    def copies(self) -> int:
        """How often the model is asked: without chance all choices are equal."""
        return self.request.n if self.sampled else 1

    @cached_property
    def batch_key(self) -> tuple[object, ...]:
        """Tickets with equal keys are answered in one batch. A seed holds for a place in the
        batch, so a seeded ticket has one of its own; and so has a stream, which may be written
        token by token."""
        alone = (self.sampled and self.sampling.seed is not None) or self.may_stream
        return self.model.key, self.sampling, self.id if alone else ""

    @property
    def may_stream(self) -> bool:
        """Whether the reply can be handed on as it is written."""
        return self.sink is not None and not self.model.shaped and self.request.n == 1

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._state == "abandoned"

    def claim(self) -> bool:
        """Take it for answering; False when it was abandoned before (or claimed)."""
        return self._leave_open("claimed")

    def abandon(self) -> bool:
        """Give it up; False when its answer is being stored already."""
        return self._leave_open("abandoned")

    def _leave_open(self, state: str) -> bool:
        with self._lock:
            if self._state != "open":
                return False
            self._state = state
            return True


Answer = Sequence[Completion] | Exception
"""One completion per choice that was computed, or what went wrong."""


def _prompt(conversation: Conversation, model: Model) -> Conversation:
    if model.objective is None or model.manifest is None:
        return conversation
    manifest = model.manifest
    return render_prompt(conversation, model.objective, manifest.labels, TUNED, manifest.system)


def _sampling(asked: Sampling, model: Model, config: ServeConfig) -> Sampling:
    """What the model is run with; equal where the difference would change nothing."""
    most = config.max_new_tokens
    if model.manifest is not None:
        most = min(most, model.manifest.max_new_tokens)
    if model.shaped:
        asked = replace(asked, max_tokens=0, stop=())
    if asked.temperature <= 0 or not model.writes:
        asked = replace(asked, temperature=0.0, top_p=1.0, seed=None)
    return replace(asked, max_tokens=min(asked.max_tokens or most, most))
