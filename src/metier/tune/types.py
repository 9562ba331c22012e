"""What passes between the parts of a tune. Torch-free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

PassMode = Literal["segments", "blocks", "padded"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as tokens. ``supervised[i]`` says whether token i is in the loss, ``weights[i]``
    how much it counts there (None: all the same).
    """

    example_id: str
    input_ids: Sequence[int]
    supervised: Sequence[bool]
    weights: Sequence[float] | None = None

    @property
    def tokens(self) -> int:
        """Tokens the model reads: the last one is only predicted."""
        return len(self.input_ids) - 1

    @property
    def supervised_tokens(self) -> int:
        """Tokens in the loss; the first token has nothing before it to predict it from."""
        return sum(self.supervised[1:])


@dataclass(frozen=True, slots=True)
class Encodings:
    """The examples of a split that can be trained on, and what happened to the others.

    ``excluded`` maps example ids to the reason; ``truncated`` counts examples that were shortened
    to fit, ``cut_replies`` those among them that lost the end of the reply, ``shortened`` says of
    each by id what it lost; ``how`` counts how supervised tokens were found.
    """

    examples: tuple[Encoded, ...]
    excluded: dict[str, str] = field(default_factory=dict)
    truncated: int = 0
    cut_replies: int = 0
    lost_turns: int = 0
    how: Counter[str] = field(default_factory=Counter)
    shortened: dict[str, Literal["prompt", "reply"]] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens the model reads in one pass over the examples."""
        return sum(example.tokens for example in self.examples)

    @property
    def supervised_tokens(self) -> int:
        """Tokens in the loss in one pass over the examples."""
        return sum(example.supervised_tokens for example in self.examples)
