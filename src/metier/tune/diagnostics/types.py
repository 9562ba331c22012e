"""What is known of a run besides its series, and what is found. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metier.core.types import Json

Level = Literal["problem", "warning", "good"]
Stop = Literal["not_finite", "memory", "disk"]


@dataclass(frozen=True, slots=True)
class Gain:
    """Nats per reply that a reply is likelier after its own question than after another one.

    ``value`` is the mean over ``n`` held-out replies, ``low`` and ``high`` its 95% interval.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the series do not say.

    ``examples`` trained on; ``replies`` different ones among their supervised tokens;
    ``blind_loss`` the validation loss (nats per token) of guessing replies by how often they occur,
    never looking at the question (None: replies do not repeat, so that nothing can be guessed);
    ``reply_tokens`` supervised tokens per validation reply; ``usual_lr`` what a model of this size
    usually takes (None: not known); ``gain`` as measured on the weights that were kept; ``bad``
    ids of the examples at which the loss was no number, of ``of`` in the batch; ``of_replies``
    whether the loss is that of the wanted replies (a preference's loss compares two of them).
    """

    examples: int
    epochs: float = 1.0
    lr: float = 0.0
    usual_lr: float | None = None
    replies: int = 0
    blind_loss: float | None = None
    reply_tokens: float = 1.0
    validation_examples: int = 0
    gain: Gain | None = None
    metric: str = ""
    higher_is_better: bool = True
    stopped_by: Stop | None = None
    bad: tuple[str, ...] = ()
    of: int = 0
    of_replies: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a run shows: its ``name``, what it means, the numbers, and what to do."""

    name: str
    level: Level
    says: str
    evidence: Mapping[str, Json] = field(default_factory=dict)
    advice: str = ""

    def json(self) -> dict[str, Json]:
        """Return the finding as it is kept in a run's summary."""
        return {
            "name": self.name,
            "level": self.level,
            "says": self.says,
            "evidence": dict(self.evidence),
            "advice": self.advice,
        }
