"""Upstreams: models behind OpenAI-compatible servers, on threads of their own."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from queue import SimpleQueue

from metier.core.errors import BoundaryError, MetierError, ModelUnavailable, boundary
from metier.core.types import Completion
from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings
from metier.privacy import Egress
from metier.serve.batching import Written, deliver
from metier.serve.config import ServeConfig, Upstream
from metier.serve.keeper import Keeper, unquoted
from metier.serve.tickets import Answer, Ticket

PURPOSE = "serve"
PARALLEL = 16
PIECES = 1 << 30
_STATUS = re.compile(r"HTTP \d{3}")


class Upstreams:
    """Asks upstreams, after ``egress`` has permitted it, so that models here go on meanwhile.

    Its threads do not keep the process from ending: what runs then was given up before.
    """

    def __init__(self, config: ServeConfig, egress: Egress, keeper: Keeper) -> None:
        self._keeper = keeper
        self._completers = {one.name: _completer(one, config, egress) for one in config.upstream}
        self._waiting: SimpleQueue[Ticket | None] = SimpleQueue()
        self._count = PARALLEL if config.upstream else 0

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._count):
            name = f"metier-upstream-{number}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, ticket: Ticket) -> None:
        """Have a ticket answered."""
        self._waiting.put(ticket)

    def close(self) -> None:
        """End each thread after what it does now."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _run(self) -> None:
        while (ticket := self._waiting.get()) is not None:
            answer = None if ticket.abandoned else self._answer(ticket)
            if answer is not None:
                deliver(self._keeper, [(ticket, answer)])

    def _answer(self, ticket: Ticket) -> Answer | None:
        """Ask; None when the ticket's stream has had everything."""
        name = ticket.model.name
        try:
            with boundary("asking"):
                if ticket.may_stream and ticket.sink is not None:
                    pieces = self._completers[name].stream(ticket.prompt, ticket.sampling)
                    Written(ticket, pieces).advance(ticket.sink, PIECES)
                    return None
                return [self._ask(ticket, number) for number in range(ticket.copies)]
        except ModelUnavailable as error:
            return _unavailable(name, str(error))
        except BoundaryError as error:
            return unquoted(f"asking {name}", error)
        except MetierError as error:
            return error

    def _ask(self, ticket: Ticket, number: int) -> Completion:
        sampling = ticket.sampling
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + number)  # choices differ
        completion = self._completers[ticket.model.name].complete([ticket.prompt], sampling)[0]
        if completion.error is not None:
            raise _unavailable(ticket.model.name, completion.error)
        return completion


def _completer(upstream: Upstream, config: ServeConfig, egress: Egress) -> EndpointCompleter:
    settings = EndpointSettings(
        purpose=PURPOSE,
        api_key_env=upstream.api_key_env,
        parallel=1,
        attempts=2,
        wait_s=0.5,
        timeout_s=config.timeout_s,
    )

    def check(url: str, purpose: str, texts: int) -> None:
        egress.check(url, purpose, texts)

    return EndpointCompleter(upstream.url, upstream.model, check, settings)


def _unavailable(name: str, why: str) -> ModelUnavailable:
    """Say no more than the status: what a server writes may repeat the key or the question."""
    status = _STATUS.search(why)
    return ModelUnavailable(
        f"an answer from the upstream {name!r}",
        got=status.group() if status else "no answer",
        remedy="try again; if it stays so, check its address, model and key in [[serve.upstream]]",
    )
