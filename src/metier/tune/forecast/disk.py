"""Disk of a tune: checkpoints, what it leaves, and the merged model. Torch-free."""

from __future__ import annotations

from metier.models.footprint import Shape
from metier.tune.config import TuneConfig
from metier.tune.forecast.memory import FLOAT, HALF, Trained
from metier.tune.forecast.types import Disk

SMALL = 2**20
"""Bytes of the tokenizer, states and manifests beside the weights."""


def disk(shape: Shape, config: TuneConfig, trained: Trained, device: str) -> Disk:
    """Count bytes: a checkpoint holds what is trained three times (weights and two moments).

    Kept are the newest ``keep_checkpoints``, the best, and for a moment the one being written.
    """
    one = 3 * trained.parameters * FLOAT + SMALL
    kept = config.keep_checkpoints + 2
    left = (shape.parameters if trained.full else trained.parameters) * FLOAT + SMALL
    merged = shape.parameters * (FLOAT if device == "cpu" else HALF) + SMALL
    return Disk(one, kept * one, left, merged)


def measured(counted: Disk, checkpoint: int, export: int, config: TuneConfig) -> Disk:
    """Replace counted bytes by measured ones."""
    return Disk(checkpoint, (config.keep_checkpoints + 2) * checkpoint, export, counted.merged)
