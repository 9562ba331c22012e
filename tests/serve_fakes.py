"""A gateway with made-up models, for the tests of serving."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from metier.core.completer import Capabilities, Completer, Sampling
from metier.core.ledger import list_interactions
from metier.core.objective import Objective
from metier.core.records import Interaction, Release
from metier.core.types import Completion, Conversation, Usage
from metier.core.workspace import Workspace
from metier.privacy import Egress, PrivacyConfig
from metier.release.promote import promote
from metier.serve import ChatRequest, Gateway, Piece, ReplyStream, ServeConfig
from tiny_releases import make

T = TypeVar("T")
CHAT = Objective(task="chat")
FORM = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {
            "route": {"type": "string", "enum": ["billing", "delivery"]},
            "reply": {"type": "string"},
        },
    },
)
PATIENCE_S = 20.0


class FakeModel:
    """Answers by a function of the last user turn; ``hold`` keeps it from answering until
    ``gate`` is set. It writes token by token when ``streams``."""

    name, fingerprint = "fake", "print of fake"

    def __init__(
        self,
        reply: Callable[[str], str] = lambda text: f"echo {text}",
        *,
        hold: bool = False,
        streams: bool = False,
        cut: int = 0,
    ) -> None:
        self.reply, self.cut = reply, cut
        self.capabilities = Capabilities(streams=streams)
        self.gate, self.running = threading.Event(), threading.Event()
        if not hold:
            self.gate.set()
        self.batches: list[list[str]] = []
        self.seen: list[Conversation] = []
        self.samplings: list[Sampling] = []

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        self.batches.append([one.last_user for one in conversations])
        self.seen += conversations
        self.samplings.append(sampling)
        self.running.set()
        assert self.gate.wait(PATIENCE_S)
        return [self._one(one, place, sampling) for place, one in enumerate(conversations)]

    def _one(self, asked: Conversation, place: int, sampling: Sampling) -> Completion:
        text = self.reply(asked.last_user)
        if sampling.temperature > 0 and sampling.seed is not None:
            text += f" ({sampling.seed}.{place})"  # as the real one: by the place in the batch
        return Completion(text, usage=Usage(7, 3, self.cut))

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        raise NotImplementedError

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[str]:
        self.seen.append(conversation)
        self.running.set()
        text = self.reply(conversation.last_user)
        for start in range(0, len(text), 3):
            if start:
                assert self.gate.wait(PATIENCE_S)
            yield text[start : start + 3]
        return Completion(text, usage=Usage(7, 3))


def champion(ws: Workspace, objective: Objective = CHAT, **changes: Any) -> Release:
    """One more release, promoted."""
    values = {"objective": objective.model_dump(mode="json"), "labels": (), "system": "Be kind."}
    return promote(ws, make(ws, **values | changes).id)


@contextmanager
def serving(
    ws: Workspace, model: Completer, config: ServeConfig | None = None, **given: Any
) -> Iterator[Gateway]:
    """A started gateway in which ``model`` answers for every release."""
    gateway = Gateway(
        ws,
        config or ServeConfig(batch_wait_ms=0),
        given.pop("egress", Egress(PrivacyConfig(), ws.audit)),
        open_release=lambda release, manifest: model,
        **given,
    )
    gateway.start()
    try:
        yield gateway
    finally:
        gate = getattr(model, "gate", None)
        if gate is not None:
            gate.set()
        gateway.close()


def question(text: str, model: str = "champion", **given: Any) -> ChatRequest:
    sampling = {name: given.pop(name) for name in list(given) if name in Sampling.__slots__}
    return ChatRequest(
        model,
        Conversation.of(("user", text)),
        Sampling(**{"max_tokens": 0, **sampling}),
        **given,
    )


def run(made: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in patience."""

    async def bounded() -> T:
        return await asyncio.wait_for(made, PATIENCE_S)

    return asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():
        await asyncio.sleep(0.002)


async def pieces_of(stream: ReplyStream) -> list[Piece]:
    return [piece async for piece in stream]


def stored(ws: Workspace) -> list[Interaction]:
    return list_interactions(ws)
