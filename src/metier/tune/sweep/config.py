"""The ``[sweep]`` section: which settings are tried, in which order, at what cost. No torch.

[sweep]
space = { lr = { type = "log", low = 5e-4, high = 2e-2, points = 8 }, r = { values = [8, 64] } }
order = "together"
budget = { type = "runs", at_most = 4 }
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from metier.core.objective import Section

ALIASES = {
    "r": "method.r",
    "rank": "method.r",
    "alpha": "method.alpha",
    "dropout": "method.dropout",
    "batch": "batch_tokens",
    "warmup": "schedule.warmup",
}
"""Short names of settings, and their place in [tune]."""
FIXED = ("method.type", "seed", "pause_at", "checkpoint_every", "keep_checkpoints", "start_from")


class Values(Section):
    """These values and no others."""

    type: Literal["values"] = "values"
    """Which kind of range this table is."""
    values: list[float | int | str] = Field(min_length=1, max_length=64)
    """What is tried, in this order."""

    @field_validator("values")
    @classmethod
    def _differ(cls, given: list[float | int | str]) -> list[float | int | str]:
        if len(set(given)) < len(given):
            raise ValueError("each value once")
        return given


class LogRange(Section):
    """From low to high in equal factors."""

    type: Literal["log"] = "log"
    """Which kind of range this table is."""
    low: float = Field(gt=0)
    """Least value."""
    high: float = Field(gt=0)
    """Greatest value."""
    points: int = Field(default=0, ge=0, le=64)
    """How many values, both ends among them; 0: any value between (drawn by Optuna)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high or self.points == 1:
            raise ValueError("low must be below high, and points 0 or at least 2")
        return self


class Around(Section):
    """Today's setting and its multiples to both sides."""

    type: Literal["around"] = "around"
    """Which kind of range this table is."""
    factor: float = Field(default=2.0, gt=1)
    """Between neighbours."""
    points: int = Field(default=7, ge=3, le=63)
    """How many values in all; odd, today's is the middle one."""

    @field_validator("points")
    @classmethod
    def _odd(cls, given: int) -> int:
        if given % 2 == 0:
            raise ValueError("an odd number, so that today's setting is the middle one")
        return given


def _kind(given: object) -> str:
    """A table with ``values`` and no type is one of values."""
    if isinstance(given, dict):
        return str(given.get("type", "values"))
    return str(getattr(given, "type", "values"))


Range = Annotated[
    Annotated[Values, Tag("values")]
    | Annotated[LogRange, Tag("log")]
    | Annotated[Around, Tag("around")],
    Discriminator(_kind),
]


class Runs(Section):
    """As many optimiser steps as so many full runs take."""

    type: Literal["runs"] = "runs"
    """Which kind of budget this table is."""
    at_most: float = Field(default=8.0, ge=1)
    """Full runs; a trial that was stopped half-way counts half."""


class Trials(Section):
    """So many settings, however long they take."""

    type: Literal["trials"] = "trials"
    """Which kind of budget this table is."""
    at_most: int = Field(ge=2)
    """Settings that are begun."""


class Time(Section):
    """So many hours of all workers together, measuring included."""

    type: Literal["time"] = "time"
    """Which kind of budget this table is."""
    hours: float = Field(gt=0)
    """Hours of machine time."""


class Money(Section):
    """So much money, at the prices of [costs]."""

    type: Literal["money"] = "money"
    """Which kind of budget this table is."""
    usd: float = Field(gt=0)
    """US dollars."""


Budget = Annotated[Runs | Trials | Time | Money, Field(discriminator="type")]
DEFAULT_SPACE: dict[str, Range] = {
    "lr": Around(factor=2, points=7),
    "method.r": Around(factor=4, points=3),
    "epochs": Around(factor=2, points=3),
    "batch_tokens": Around(factor=2, points=3),
}
"""The learning rate matters most (arXiv 2602.04998: with a tuned rate, variants of LoRA land within
1-2%), and its optimum hardly depends on the rank (Schulman et al., "LoRA Without Regret")."""


class SweepConfig(Section):
    """Which settings are tried, in which order, and at what cost."""

    space: dict[str, Range] = Field(default_factory=lambda: dict(DEFAULT_SPACE), min_length=1)
    """What is tried for which setting of [tune], in the order of importance; a setting inside a
    table is named with a dot (method.r)."""
    order: Literal["in_turn", "together"] = "in_turn"
    """in_turn: the first setting alone, then the next at the best of it; together: all
    combinations, or draws from them where there are more than trials."""
    trials: int = Field(default=16, ge=2, le=1000)
    """Most settings that are begun (in_turn: of each setting)."""
    brackets: int = Field(default=1, ge=1, le=20)
    """Rounds of trials (together only): those after the first are suggested by Optuna from what the
    rounds before have shown."""
    reduce: Annotated[int, Field(ge=2, le=16)] | Literal["auto"] = "auto"
    """Of each rung one in so many goes on, to twice the steps; auto: 2 to 4, the gentlest that the
    budget allows after the longest first rung that it allows."""
    finalists: int = Field(default=2, ge=1)
    """Trials that go on to the end of a full run."""
    budget: Budget = Runs()
    """What the sweep may cost."""
    examples: int = Field(default=500, ge=20)
    """Validation examples each trial is measured on, the same for all."""
    metric: str | None = None
    """Metric that is compared (absent: the task's first)."""
    seed: int = Field(default=0, ge=0)
    """Seed of what is drawn."""

    @field_validator("space")
    @classmethod
    def _plain_names(cls, given: dict[str, Range]) -> dict[str, Range]:
        named = {ALIASES.get(name, name): values for name, values in given.items()}
        if len(named) < len(given):
            raise ValueError("each setting once (r, rank and method.r are the same)")
        refused = [name for name in named if name in FIXED]
        if refused:
            raise ValueError(f"{', '.join(refused)} cannot be swept")
        return named
