"""What a starting tune asks of the forecast, and what it leaves for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metier.core.errors import ModelUnavailable
from metier.core.memory import available_bytes, peak_bytes, reset_peak, resident_bytes
from metier.core.types import Json
from metier.models.footprint import Shape
from metier.tune.algorithms.base import Algorithm
from metier.tune.config import TuneConfig
from metier.tune.forecast import memory, work
from metier.tune.forecast.forecast import decide
from metier.tune.types import PassMode


def wants_checkpointing(
    config: TuneConfig, model: Any, algorithm: Algorithm, mode: PassMode
) -> bool:
    """Say whether activations are to be computed twice: as set; ``auto``, where the tune would not
    fit otherwise. False where the model's shape is not one that can be counted."""
    if config.gradient_checkpointing != "auto":
        return config.gradient_checkpointing
    try:
        shape = Shape.of(model.config.to_dict())
    except ModelUnavailable:
        return False
    share = float(algorithm.summary().get("supervised_share") or 1.0)
    supervised = work.supervised_of(algorithm.probes, algorithm.lengths, share)
    heaviness = memory.heaviness(shape, config)
    planned, _ = work.planned(algorithm.lengths, supervised, config, heaviness, mode)
    device, available = _room()
    return decide(config, shape, planned, device, available)


@dataclass(frozen=True)
class Held:
    """Memory held when the watch began, in bytes."""

    before: int

    @classmethod
    def now(cls) -> Held:
        """Begin to watch: peaks count from here."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            return cls(torch.cuda.memory_reserved())
        reset_peak()
        return cls(resident_bytes())

    def summary(self, checkpointing: bool) -> dict[str, Json]:
        """What the run's record says of memory: of the device on a GPU, else of the process."""
        import torch

        gpu = torch.cuda.is_available()
        peak = torch.cuda.max_memory_reserved() if gpu else peak_bytes()
        return {
            "memory_before_bytes": self.before,
            "peak_memory_bytes": max(peak, self.before),  # the kernel's counts lag by some pages
            "gradient_checkpointing": checkpointing,
        }


def _room() -> tuple[str, int]:
    """The device, and the bytes free on it with what this process holds already."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    return "cpu", available_bytes() + resident_bytes()
