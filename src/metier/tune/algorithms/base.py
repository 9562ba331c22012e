"""The shape every training algorithm has: items to pack, passes of a step, the loss of a pass.

``run.tune`` makes the algorithm named in ``[tune] algorithm`` from its ``Ground``, plans the steps
over ``lengths`` and hands it to the trainer, which calls, in this order::

    algorithm.prepare(model, mode, folder)              once, before the first step
    step = algorithm.step(model, batch, number)         each optimiser step, weights as they stand
    for one in step.passes:
        algorithm.loss(model, one, step)                with gradients; losses of a step add up
    algorithm.validate(model)                           now and then, and before the first step

Packing, schedule, checkpoints, resuming, series and export know nothing of the algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from metier.core.objective import Objective
from metier.core.progress import Progress, TaskProgress
from metier.core.records import DataVersion
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.models.base import Base
from metier.tune.config import TuneConfig
from metier.tune.packing.plan import Batch
from metier.tune.types import Encoded, PassMode

SILENT = Progress()


@dataclass(frozen=True)
class Ground:
    """What an algorithm is made from.

    ``rows`` are the training examples, ``held_out`` the validation sample; ``task`` counts them
    while they are encoded, ``progress`` what else takes its time before the first step.
    """

    config: TuneConfig
    version: DataVersion
    ws: Workspace
    base: Base
    objective: Objective
    system: str
    rows: Sequence[Example]
    held_out: Sequence[Example]
    task: TaskProgress
    progress: Progress = SILENT

    @property
    def max_tokens(self) -> int:
        """Longest example in tokens: the setting's, never above what the base takes."""
        return min(self.config.max_tokens, self.base.max_tokens)


@dataclass(frozen=True)
class Step:
    """One optimiser step: what is passed forward, one after another, and what the loss is divided
    by (the weight of all supervised tokens, the number of pairs, ...).

    ``series`` are values to log that are known before the first pass.
    """

    passes: Sequence[Any]
    weight: float
    series: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PassLoss:
    """The loss of one pass as a share of its step's: losses of a step's passes add up.

    ``finite`` says of each of ``example_ids`` whether its part is a finite number; ``series`` are
    further values to log, shares of the step's as well.
    """

    loss: Tensor
    example_ids: Sequence[str]
    finite: Sequence[bool]
    series: Mapping[str, float] = field(default_factory=dict)


class Algorithm(Protocol):
    """What is learned from, and how."""

    lengths: Sequence[int]
    """Tokens the model reads of each training item: what batches are packed by."""
    probes: Sequence[Encoded]
    """Real examples for the check that packing leaves them alone."""
    identity: Json
    """Everything in the items that decides the outcome; two runs of equal identity are one run."""
    validates: bool
    """Whether there is something to validate on."""
    notes: Sequence[str]
    """What the person who waits should know of the data: rows left out, shortened, ..."""

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Get ready on ``model`` in the layout ``mode``; what is dear to compute goes to
        ``folder``, where a resumed run finds it."""
        ...

    def step(self, model: Any, batch: Batch, number: int) -> Step:
        """Lay out the items of optimiser step ``number`` (from 0), tensors still on the CPU.

        What is drawn here is drawn under the seed and the number: a resumed run draws the same.
        """
        ...

    def loss(self, model: Any, one: Any, step: Step) -> PassLoss:
        """Run one pass with gradients."""
        ...

    def validate(self, model: Any) -> dict[str, float]:
        """Measure the validation items: ``loss``, the lower the better, and what else there is."""
        ...

    def summary(self) -> dict[str, Json]:
        """What the run's record says of the items."""
        ...


def device_of(model: Any) -> torch.device:
    """Return where the model's weights lie."""
    device: torch.device = next(model.parameters()).device
    return device
