"""Time of a tune: floating-point operations from shapes, and what the probe measured of them.

A forward pass costs two operations per weight and token, attention four per pair of tokens and
unit of width (halved: causal), the backward pass as much again for the inputs of every layer and,
where weights are trained, once more for the weights (Kaplan et al. 2020, arXiv 2001.08361,
section 2.1). What an operation takes on this machine is measured; the ratio carries over from the
steps that were probed to those that were not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import fmean, stdev

from metier.models.footprint import Shape
from metier.tune.forecast.memory import Trained
from metier.tune.forecast.types import PassLoad, Range

UNPROBED_ERROR = 1.0
"""How far time may be off, as a factor, where no step was run."""
UNSEEN_ERROR = 0.12
"""What steps not probed may differ by: other lengths, a warm machine, another's work on it."""
USUAL_SHARE = {"cpu": 0.6, "cuda": 0.4}
"""Part of a matrix product's speed that a training step reaches, where nothing was measured."""
# Student's t for 90% of values, by degrees of freedom; 1.7 beyond.
T90 = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)


def forward_flops(shape: Shape, load: PassLoad) -> float:
    """Operations of a forward pass."""
    blocks, pairs, head = _parts(shape, load)
    return blocks + pairs + head


def step_flops(shape: Shape, trained: Trained, load: PassLoad, checkpointing: bool) -> float:
    """Operations of an optimiser step's passes, forward and back."""
    blocks, pairs, head = _parts(shape, load)
    adapter = 0.0 if trained.full else 6.0 * trained.parameters * load.tokens
    again = blocks + pairs if checkpointing else 0.0
    if trained.full:
        # AdamW touches every weight some ten times; memory, not arithmetic, is what it waits for.
        return 3 * blocks + 3.5 * pairs + 3 * head + again + 40.0 * trained.parameters
    return 2 * blocks + 3.5 * pairs + 2 * head + adapter + again + 40.0 * trained.parameters


def from_probe(seconds: Sequence[float], flops: Sequence[float]) -> tuple[float, float]:
    """Return seconds per operation, and how far that may be off (share) from steps alone.

    The ratio of sums; its error from the scatter of the single ratios, 90%.
    """
    rate = sum(seconds) / sum(flops)
    if len(seconds) < 2:
        return rate, 0.3
    logs = [math.log(s / f) for s, f in zip(seconds, flops, strict=True)]
    t = T90[min(len(logs) - 2, len(T90) - 1)]
    return rate, min(1.0, t * stdev(logs) / math.sqrt(len(logs)))


def matmul_rate(device: str, size: int = 512, budget_s: float = 0.3) -> float:
    """Measure operations per second of a square matrix product on this machine."""
    import torch

    kind = torch.float32 if device == "cpu" else torch.bfloat16
    size = size if device == "cpu" else 8192
    a = torch.ones(size, size, device=device, dtype=kind)
    (a @ a).sum().item()
    times: list[float] = []
    began = time.monotonic()
    while len(times) < 3 or time.monotonic() - began < budget_s:
        start = time.monotonic()
        (a @ a).sum().item()
        times.append(time.monotonic() - start)
    return 2.0 * size**3 / fmean(sorted(times)[: max(1, len(times) // 2)])


def unprobed(flops: float, device: str) -> Range:
    """Return seconds for so many operations, from a matrix product's speed alone."""
    return Range.within(flops / (matmul_rate(device) * USUAL_SHARE[device]), UNPROBED_ERROR)


def _parts(shape: Shape, load: PassLoad) -> tuple[float, float, float]:
    matrices = sum(out * into for out, into in shape.linear_shapes.values())
    blocks = 2.0 * matrices * shape.layers * load.tokens
    pairs = 2.0 * shape.layers * shape.heads * shape.head_width * load.squares
    head = 2.0 * load.supervised * shape.vocabulary * shape.width
    return blocks, pairs, head
