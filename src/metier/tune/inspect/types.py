"""What inspection passes on: rows as tokens with their turns, findings, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from metier.sources.profile import Lengths
from metier.tune.types import Encoded

Cut = Literal["", "prompt", "reply"]
Severity = Literal["refuse", "note"]
Pick = Literal["first", "longest", "truncated", "drawn"]
PROMPT_ROLES = ("system", "user", "tool")


@dataclass(frozen=True, slots=True)
class Turn:
    """Tokens ``start`` to ``stop`` (exclusive) that belong to what ``role`` says, the token that
    ends the turn included and the header that opens it not."""

    start: int
    stop: int
    role: str


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded example of any trainer.

    ``turns`` says which tokens belong to whom (None: it cannot be told); ``cut`` what was cut off
    to make it fit (``reply``: also its end); ``raw`` text has no turns and is all supervised.
    """

    encoded: Encoded
    turns: Sequence[Turn] | None = None
    cut: Cut = ""
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found in ``count`` of ``of`` examples, a few of them by id.

    ``refuse`` stops a tune; ``note`` is only told. ``examples`` holds ids, never texts.
    """

    check: str
    severity: Severity
    text: str
    remedy: str
    count: int
    of: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """One token and whether it is in the loss."""

    text: str
    supervised: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring tokens that only together are whole characters. ``ids`` are the tokens'."""

    text: str
    supervised: bool
    role: str | None
    ids: tuple[int, ...]

    @property
    def wrong(self) -> bool:
        """Whether it is in the loss although it is part of the prompt."""
        return self.supervised and self.role in PROMPT_ROLES


@dataclass(frozen=True, slots=True)
class Inspected:
    """One example. ``stretches`` joins neighbouring tokens of a kind; joined, the texts are what
    the model reads (single tokens may be parts of a character)."""

    example_id: str
    tokens: tuple[Token, ...]
    texts: tuple[tuple[bool, str], ...]
    pieces: tuple[Piece, ...] = ()
    cut: Cut = ""

    def stretches(self) -> tuple[tuple[bool, str], ...]:
        """Return (supervised, text) pairs, in order."""
        return self.texts


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that decided the mask, and what it does."""

    name: str
    value: str
    effect: str


@dataclass(frozen=True)
class Inspection:
    """What a trainer makes of a set of rows.

    ``rows`` were read; ``dropped`` counts by reason those that are not trained on, ``dropped_ids``
    names up to 20 of them. ``cut_prompts`` and ``cut_replies`` count what was shortened to
    ``max_tokens``. Lengths are in tokens per example.
    """

    trainer: str
    source: str
    model: str
    rows: int
    kept: int
    max_tokens: int
    cut_prompts: int
    cut_replies: int
    tokens: int
    supervised_tokens: int
    lengths: Lengths
    supervised_lengths: Lengths
    pick: str
    shown: tuple[Inspected, ...]
    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    dropped_ids: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether one of the findings stops a tune."""
        return any(finding.severity == "refuse" for finding in self.findings)
