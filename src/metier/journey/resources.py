"""What a job asks of a machine, from shapes alone: an upper bound to queue by, not a forecast."""

from __future__ import annotations

from metier.config import Project
from metier.core.errors import UserError
from metier.core.jobs import Resources
from metier.models.base import find_base
from metier.models.footprint import Shape
from metier.tune.config import Lora

FLOAT = 4
# Weight, gradient and the two moments of AdamW.
TRAINED_COPIES = 4
# Values kept per token, layer and unit of width for the backward pass of a gated block
# (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1: 34 bytes in half precision).
ACTIVATIONS = 17
# Logits and their gradient.
LOGIT_COPIES = 2


def resources_for(project: Project, name: str) -> Resources:
    """Return what a job of that name needs; nothing where the base's shape cannot be read.

    A cycle needs nothing of its own: its stages are jobs themselves.
    """
    if name not in ("tune", "baseline", "evaluate", "probe"):
        return Resources()
    try:
        shape = Shape.read(find_base(project.project.base))
    except (UserError, OSError, ValueError):
        return Resources()
    memory = tune_bytes(shape, project) if name == "tune" else 2 * shape.weight_bytes()
    return Resources(gpus=min(1, Resources.here().gpus), memory_bytes=memory)


def tune_bytes(shape: Shape, project: Project) -> int:
    """Return the bytes a tune holds at most: weights, what is trained, activations, logits."""
    config = project.tune
    method = config.method
    frozen = shape.weight_bytes() if isinstance(method, Lora) else 0
    trained = shape.lora_parameters(method.r) if isinstance(method, Lora) else shape.parameters
    tokens = config.micro_batch_tokens or config.batch_tokens
    activations = tokens * shape.layers * shape.width * ACTIVATIONS * FLOAT
    logits = tokens * shape.vocabulary * FLOAT * LOGIT_COPIES
    copies = trained * FLOAT * TRAINED_COPIES
    return frozen + copies + activations + logits
