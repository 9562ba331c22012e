"""Completer: the one shape through which anything that answers is called.

A zero-shot model, few-shot prompting, an adapter, an endpoint and a TF-IDF classifier are all
Completers, so that evaluation, review, serving and probes take any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from metier.core.types import Completion, Conversation


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode. ``temperature`` 0 is greedy; ``stop`` strings are cut from the text."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a Completer can do beyond ``complete``."""

    scores: bool = False
    """``score`` gives log-probabilities of given choices."""
    continues: bool = False
    """A conversation that ends in an assistant turn is continued, not answered anew."""
    streams: bool = False
    images: bool = False
    generative: bool = True
    """Writes free text (False: picks from a closed set)."""


@runtime_checkable
class Completer(Protocol):
    """Anything that answers conversations. Results come in the order of the input."""

    @property
    def name(self) -> str:
        """A short name for tables, e.g. ``few_shot(4)``."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash over everything that shapes the answers: weights, adapter, prompt, settings."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this Completer can do."""
        ...

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer each conversation. A failure on one is a Completion with ``error`` set."""
        ...

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Return log P(choice | conversation), natural log, shape [conversations][choices].

        Each choice is scored with the end-of-turn token after it, so that no choice that is a
        prefix of another is favoured. Raises NotImplementedError when ``capabilities.scores``
        is False.
        """
        ...


@runtime_checkable
class StreamingCompleter(Completer, Protocol):
    """A Completer that can hand out text as it is made."""

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[str]:
        """Yield pieces of the answer; joined they equal what ``complete`` returns."""
        ...


class Around:
    """A Completer around another one: what a subclass does not change is the inner one's."""

    def __init__(self, inner: Completer) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The inner Completer's."""
        return self._inner.name

    @property
    def fingerprint(self) -> str:
        """The inner Completer's: right only where answers stay the same."""
        return self._inner.fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """The inner Completer's."""
        return self._inner.capabilities

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer as the inner Completer does."""
        return self._inner.complete(conversations, sampling)

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Score as the inner Completer does."""
        return self._inner.score(conversations, choices)
