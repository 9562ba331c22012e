"""Loss-mask inspection: examples exactly as they are trained on, token by token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from metier.core.objective import Objective
from metier.core.types import Example
from metier.models.base import Base
from metier.tune.config import TuneConfig
from metier.tune.tokens.encode import encode
from metier.tune.tokens.spoken import spoken
from metier.tune.types import Encoded


@dataclass(frozen=True, slots=True)
class Token:
    """One token and whether it is in the loss."""

    text: str
    supervised: bool


@dataclass(frozen=True, slots=True)
class Inspected:
    """One example. ``stretches`` joins neighbouring tokens of a kind; joined, the texts are what
    the model reads (single tokens may be parts of a character)."""

    example_id: str
    tokens: tuple[Token, ...]
    texts: tuple[tuple[bool, str], ...]

    def stretches(self) -> tuple[tuple[bool, str], ...]:
        """Return (supervised, text) pairs, in order."""
        return self.texts


def inspect(
    examples: Iterable[Example],
    base: Base,
    objective: Objective,
    config: TuneConfig,
    *,
    labels: Sequence[str] = (),
    system: str = "",
) -> list[Inspected]:
    """Show examples as ``tune`` with the same arguments would train on them.

    Raises InputError when not one can be trained on.
    """
    limit = min(config.max_tokens, base.max_tokens)
    encoded = encode(examples, spoken(objective, labels, system), base.tokenizer, limit)
    return [_inspected(base.tokenizer, one) for one in encoded.examples]


def _inspected(tokenizer: Any, one: Encoded) -> Inspected:
    pairs = list(zip(one.input_ids, one.supervised, strict=True))
    tokens = tuple(Token(tokenizer.decode([index]), supervised) for index, supervised in pairs)
    texts = tuple(
        (supervised, tokenizer.decode([index for index, _ in run]))
        for supervised, run in groupby(pairs, key=lambda pair: pair[1])
    )
    return Inspected(one.example_id, tokens, texts)
