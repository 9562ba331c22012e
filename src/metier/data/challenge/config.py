"""The ``[data.challenge]`` section: rows made to be hard, for a split of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.section import Section

Kind = Literal[
    "negation", "near_miss", "numbers", "distractor", "unanswerable", "injection", "formatting",
    "typos",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "negation", "near_miss", "numbers", "distractor", "unanswerable", "injection", "formatting",
    "typos",
)  # fmt: skip


class ChallengeConfig(Section):
    """Adversarial and contrast rows: of test rows for the split, of training rows to learn from."""

    kinds: tuple[Kind, ...] = KINDS
    """negation and near_miss name another class to turn it down; numbers changes them (and units)
    in question and answer alike; distractor adds what does not matter; unanswerable asks about
    what nobody has heard of (needs ``refusal``); injection orders something else; formatting and
    typos change the looks."""
    per_kind: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Rows of each kind in the challenge split, at most (one per test row and kind)."""
    train_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training rows that get a challenging sibling in training: what not to say."""
    refusal: str = ""
    """The right reply to what cannot be answered, e.g. "I cannot answer that from what I know.";
    empty: no unanswerable rows."""
    seed: int = 0
    """Seed of what is drawn."""
