"""What is known of a run besides its series: from its settings and the tokens it learns from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from metier.tune.diagnostics.types import Facts
from metier.tune.types import Encoded

CLOSED_SET = 0.5
"""Replies are guessable where at most this many per example are different ones."""
Reply = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Replies:
    """The supervised tokens of both splits, read as whole replies."""

    examples: int = 0
    different: int = 0
    validation_examples: int = 0
    tokens: float = 1.0
    blind_loss: float | None = None


def replies_of(train: Sequence[Encoded], held_out: Sequence[Encoded]) -> Replies:
    """Count replies, and say what it costs to guess held-out ones by how often they occur in
    training (nats per token, Laplace's rule; None where replies do not repeat)."""
    counts = Counter(_reply(example) for example in train)
    tokens = sum(example.supervised_tokens for example in held_out)
    per_reply = tokens / len(held_out) if held_out else 1.0
    found = Replies(len(train), len(counts), len(held_out), per_reply)
    if not held_out or not tokens or len(counts) > CLOSED_SET * len(train):
        return found
    total = len(train) + len(counts) + 1
    nats = -sum(math.log((counts[_reply(example)] + 1) / total) for example in held_out)
    return Replies(len(train), len(counts), len(held_out), per_reply, nats / tokens)


def facts_of(replies: Replies, epochs: float, lr: float, usual_lr: float | None) -> Facts:
    """Return what is known before a run begins."""
    return Facts(
        examples=replies.examples,
        epochs=epochs,
        lr=lr,
        usual_lr=usual_lr,
        replies=replies.different,
        blind_loss=replies.blind_loss,
        reply_tokens=replies.tokens,
        validation_examples=replies.validation_examples,
    )


def _reply(example: Encoded) -> Reply:
    pairs = zip(example.input_ids[1:], example.supervised[1:], strict=True)
    return tuple(token for token, supervised in pairs if supervised)
