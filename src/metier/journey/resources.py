"""What a job asks of a machine: the forecast's own arithmetic on shapes alone, to queue by."""

from __future__ import annotations

from metier.config import Project
from metier.core.errors import UserError
from metier.core.jobs import Resources
from metier.models.base import find_base
from metier.models.footprint import Shape
from metier.tune.forecast import memory, work
from metier.tune.forecast.types import PHASES, TUNING


def resources_for(project: Project, name: str) -> Resources:
    """Return what a job of that name needs; nothing where the base's shape cannot be read.

    A cycle needs nothing of its own: its stages are jobs themselves.
    """
    hosted = name == "tune" and project.tune.method.type == "hosted"
    if hosted or name not in ("tune", "baseline", "evaluate", "probe"):
        return Resources()
    try:
        shape = Shape.read(find_base(project.project.base))
    except (UserError, OSError, ValueError):
        return Resources()
    return Resources(min(1, Resources.here().gpus), job_bytes(shape, project, name == "tune"))


def job_bytes(shape: Shape, project: Project, tunes: bool) -> int:
    """Return the memory a job holds at its peak: a tune with full passes, or writing replies.

    The process's own memory: on a GPU the weights pass through it and the rest lies there.
    """
    config = project.tune
    checkpointing = config.gradient_checkpointing is True
    peaks = memory.phases(shape, config, work.nominal(config), "cpu", checkpointing)
    if Resources.here().gpus:
        return peaks["load"]
    ranges = memory.ranged(peaks, "cpu", memory.ACTIVATION_ERROR)
    wanted = TUNING if tunes else ("load", "generate")
    return round(max(ranges[phase].high for phase in PHASES if phase in wanted))
