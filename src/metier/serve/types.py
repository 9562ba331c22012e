"""What goes in and out of the gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from metier.core.completer import Sampling
from metier.core.types import Conversation, Usage

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question. ``model`` is an alias, a release (``v3``) or an upstream.

    ``sampling.max_tokens`` 0 asks for the model's own limit. ``n`` choices are answered; at
    temperature 0 they are all equal. ``user`` is who asks, in clear; only a keyed hash of it is
    kept.
    """

    model: str
    conversation: Conversation
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=0))
    n: int = 1
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the texts that answer a question."""

    text: str
    finish_reason: Finish


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The answer to a question; it is stored under ``id`` before it is handed out.

    ``release`` is the name of the release that answered, e.g. ``v3`` (None: an upstream);
    ``confidence`` the probability of a closed-set answer (None: there is none to give); ``guards``
    names what was noticed: ``unreadable_reply``, ``prompt_cut``.
    """

    id: str
    created: datetime
    model: str
    release: str | None
    choices: tuple[Choice, ...]
    usage: Usage
    confidence: float | None = None
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply as it is made.

    ``text`` goes on the end of choice ``index``. ``finish_reason`` is set on the last piece of a
    choice, which has no text; ``reply`` on the last piece of all: by then the reply is stored.
    """

    index: int
    text: str = ""
    finish_reason: Finish | None = None
    reply: ChatReply | None = None


ModelKind = Literal["alias", "release", "upstream"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One name that ``ChatRequest.model`` may be. ``release`` is what an alias points to now."""

    id: str
    kind: ModelKind
    created: datetime | None
    release: str | None = None
