"""What a forecast is made of. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metier.tune.types import PassMode

Phase = Literal["load", "train", "evaluate", "save", "generate", "merge"]
PHASES: tuple[Phase, ...] = ("load", "train", "evaluate", "save", "generate", "merge")
TUNING: tuple[Phase, ...] = ("load", "train", "evaluate", "save")
"""The phases of a tune itself; the others come after it."""


@dataclass(frozen=True, slots=True)
class Range:
    """A forecast number with its error bar: where 9 of 10 actual values are expected to lie."""

    value: float
    low: float
    high: float

    @classmethod
    def within(cls, value: float, share: float) -> Range:
        """A value give or take a share of it (upwards by as much as downwards, as a factor)."""
        return cls(value, value / (1 + share), value * (1 + share))

    def scaled(self, factor: float) -> Range:
        """The range times a positive factor."""
        return Range(self.value * factor, self.low * factor, self.high * factor)

    def plus(self, constant: float) -> Range:
        """The range moved by a number that is known."""
        return Range(self.value + constant, self.low + constant, self.high + constant)


@dataclass(frozen=True, slots=True)
class PassLoad:
    """What one forward pass holds: tokens read, tokens whose logits are made, and the sum of the
    squared lengths of its examples (what attention costs)."""

    tokens: int
    supervised: int
    squares: int

    def __add__(self, other: PassLoad) -> PassLoad:
        return PassLoad(
            self.tokens + other.tokens,
            self.supervised + other.supervised,
            self.squares + other.squares,
        )


NOTHING = PassLoad(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Work:
    """A planned tune in numbers. ``per_step`` holds each optimiser step's load, all its passes
    together; ``heaviest`` the pass that holds most, ``heaviest_step`` the step it is in;
    ``validation`` all validation items, ``heaviest_validation`` the largest pass over them."""

    examples: int
    per_step: tuple[PassLoad, ...]
    heaviest: PassLoad
    heaviest_step: int
    validation: PassLoad = NOTHING
    heaviest_validation: PassLoad = NOTHING
    validations: int = 0
    checkpoints: int = 1

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return len(self.per_step)

    @property
    def total(self) -> PassLoad:
        """All the steps together."""
        return sum(self.per_step, NOTHING)


@dataclass(frozen=True, slots=True)
class Probed:
    """What a short real run measured on this machine.

    Bytes are peaks of the phase: of the process on a CPU, of the device on a GPU. ``settled`` is
    what is held after loading; ``step_seconds`` pairs the number of each planned step that was
    run with its seconds, warm ones only (the cold one where there is no other); ``rows_share`` is
    the part of the training rows that was held in memory; ``watch_seconds`` go into measuring
    replies at each validation.
    """

    settled: int
    peaks: Mapping[Phase, int]
    step_seconds: tuple[tuple[int, float], ...]
    load_seconds: float
    validation_seconds: float | None
    watch_seconds: float
    validated: PassLoad
    save_seconds: float
    checkpoint_bytes: int
    export_seconds: float
    export_bytes: int
    layout: PassMode
    rows_share: float


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the time of a tune goes."""

    train: Range
    load: float
    encode: float
    validate: float
    save: float

    @property
    def total(self) -> Range:
        """From start to stored result."""
        return self.train.plus(self.load + self.encode + self.validate + self.save)


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on disk: one checkpoint, all that are kept at once, and the result."""

    checkpoint: int
    checkpoints: int
    export: int
    merged: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change of settings, as a line of ``metier.toml``, and the memory it was forecast to need
    (bytes) and the factor on training time."""

    setting: str
    memory: Range
    time_factor: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a tune of one base by one method will take.

    ``memory`` is the peak of each phase in bytes; ``available`` what there is. ``fits`` says
    whether the upper end of the tune's own phases stays under it. ``checkpointing`` is whether
    activations are computed twice to save memory; ``changes`` are what would fit where this does
    not. ``how`` says what the numbers rest on, ``notes`` what to know beside them.
    """

    base: str
    method: str
    family: str
    machine: str
    device: str
    parameters: int
    trained: int
    memory: Mapping[Phase, Range]
    available: int
    fits: bool
    checkpointing: bool
    seconds: Seconds
    usd: Range
    disk: Disk
    work: Work
    how: str
    probed: bool
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def peak(self) -> Range:
        """The most the tune itself holds, whichever of its phases that is."""
        return max((self.memory[phase] for phase in TUNING), key=lambda one: one.value)
