"""Memory of every phase of a tune, from shapes alone. Torch-free.

What is held, in bytes: the runtime (Python, torch and the libraries), the base's weights, what is
trained (weights, gradients, AdamW's two moments), what the forward pass keeps for the backward
pass, and the logits of the supervised tokens with their gradients. Counted for the Llama family
as metier trains it: packed, attention without a score matrix, the head on supervised tokens only.
Values kept per token and layer follow the count of Korthikanti et al. 2022 (arXiv 2205.05198,
section 4.1), done anew for a gated block whose weights are frozen (LoRA) or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metier.models.footprint import Shape
from metier.tune.config import TuneConfig
from metier.tune.forecast.types import PassLoad, Phase, Range, Work

FLOAT, HALF = 4, 2
RUNTIME = {"cpu": 560 * 2**20, "cuda": 600 * 2**20}
"""CPU: resident memory of a process that has imported what a tune needs, measured. GPU: the CUDA
context, which the driver keeps beside the tensors."""
ALLOCATOR = {"cpu": 1.2, "cuda": 1.1}
"""What is resident over what is in use, where pieces of many sizes come and go."""
ACTIVATION_ERROR, NOMINAL_ERROR = 0.25, 0.6
"""How far the counted part may be off (as a factor): with the data's lengths, and without."""
# bitsandbytes NF4 with double quantisation: 4 bits, and 0.127 bits per weight of constants
# (Dettmers et al. 2023, arXiv 2305.14314, section 3).
NF4_BYTES = (4 + 0.127) / 8
SERVED_SLOTS = 8
"""Replies written at once when a tuned model is evaluated."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a method trains of a base: bytes of the base as it lies in memory, numbers trained,
    whether every weight of the base gets a gradient."""

    base_bytes: int
    parameters: int
    full: bool
    copies: bool
    dropout: bool
    family: str


def trained_by(method: Any, shape: Shape, device: str) -> Trained:
    """Say what a ``[tune] method`` holds of a base of that shape on ``cpu`` or ``cuda``."""
    kind = method.type
    weights = shape.parameters * (HALF if device == "cuda" else FLOAT)
    if kind == "full":
        return Trained(weights, shape.parameters, True, True, False, kind)
    if kind == "qlora":
        linear = shape.layers * sum(out * into for out, into in shape.linear_shapes.values())
        rest = (shape.parameters - linear) * (HALF if device == "cuda" else FLOAT)
        weights = round(linear * NF4_BYTES) + rest
    rank = int(getattr(method, "r", 8))
    dropout = float(getattr(method, "dropout", 0.0)) > 0
    return Trained(weights, _adapter(method, shape, rank), False, False, dropout, kind)


def heaviness(shape: Shape, config: TuneConfig) -> Callable[[PassLoad], float]:
    """Return what tells two passes apart: the bytes each holds at its peak."""
    trained = trained_by(config.method, shape, "cpu")
    return lambda load: pass_bytes(shape, trained, load, "cpu")


def phases(
    shape: Shape, config: TuneConfig, work: Work, device: str, checkpointing: bool
) -> dict[Phase, int]:
    """Return the peak of every phase in bytes."""
    trained = trained_by(config.method, shape, device)
    runtime, weights = RUNTIME[device], trained.base_bytes
    held = runtime + weights + state_bytes(trained)
    live = pass_bytes(shape, trained, work.heaviest, device, checkpointing)
    looked = forward_bytes(shape, work.heaviest_validation, device)
    value = FLOAT if device == "cpu" else HALF
    cache = SERVED_SLOTS * config.max_tokens * shape.kv_bytes_per_token("float32") * value // FLOAT
    read = SERVED_SLOTS * shape.vocabulary * FLOAT * 2
    tuned = shape.parameters * value + (0 if trained.full else trained.parameters * FLOAT)
    widest = max(shape.vocabulary, shape.feed_forward) * shape.width * FLOAT
    return {
        "load": runtime + weights,
        "train": held + max(live, step_bytes(shape, trained)),
        "evaluate": held + looked,
        "save": held + min(widest, trained.parameters * FLOAT),
        "generate": runtime + tuned + cache + read,
        # A copy in float32 gets the adapter's weights added to its own.
        "merge": runtime + shape.parameters * (value + FLOAT) + trained.parameters * FLOAT,
    }


def state_bytes(trained: Trained) -> int:
    """Bytes of what training adds to the base: weights, gradients and AdamW's two moments."""
    return 4 * trained.parameters * FLOAT


def step_bytes(shape: Shape, trained: Trained) -> int:
    """Bytes AdamW needs for a moment: copies of the largest parameter."""
    largest = shape.vocabulary * shape.width if trained.full else trained.parameters
    return 2 * largest * FLOAT


def pass_bytes(
    shape: Shape, trained: Trained, load: PassLoad, device: str, checkpointing: bool = False
) -> int:
    """Bytes a forward pass and its backward pass hold at their peak, beside the weights."""
    kept = layer_values(shape, trained)
    layers = kept * shape.layers
    if checkpointing:  # each layer's input, and all of one layer
        layers = shape.width * shape.layers + kept
    value = FLOAT if device == "cpu" else HALF
    # Gradients that flow back through the widest part of a block.
    flowing = load.tokens * (3 * shape.feed_forward + 2 * shape.width) * value
    # Logits, their log-softmax and its gradient; under autocast a half-precision copy as well.
    logits = load.supervised * shape.vocabulary * (3 * FLOAT + (0 if device == "cpu" else HALF))
    # The head runs first on the way back, when nothing flows through the blocks yet.
    held = load.tokens * layers * value + max(logits, flowing)
    return round(held * ALLOCATOR[device])


def forward_bytes(shape: Shape, load: PassLoad, device: str) -> int:
    """Bytes of a forward pass without gradients: one block's values, and the logits."""
    value = FLOAT if device == "cpu" else HALF
    block = load.tokens * (4 * shape.width + 3 * shape.feed_forward) * value
    return max(block, load.supervised * shape.vocabulary * 2 * FLOAT)


def layer_values(shape: Shape, trained: Trained) -> int:
    """Numbers one layer keeps of each token for the backward pass."""
    query = shape.heads * shape.head_width
    # The stream before each norm and each norm's output; where weights are trained the
    # normalised values too. Query, key, value (one per query head), attention's output twice.
    # Gate, its activation, up, and their product.
    kept = (6 if trained.full else 4) * shape.width + 5 * query + 4 * shape.feed_forward
    if trained.dropout:  # each adapter's own dropped input and its mask
        kept += 2 * sum(into for _, into in shape.linear_shapes.values())
    return kept


def ranged(peaks: dict[Phase, int], device: str, share: float) -> dict[Phase, Range]:
    """Put error bars on counted bytes: the runtime is known, ``share`` of the rest is not."""
    known = RUNTIME[device]
    return {name: Range.within(max(0, v - known), share).plus(known) for name, v in peaks.items()}


def _adapter(method: Any, shape: Shape, rank: int) -> int:
    targets = getattr(method, "targets", "all-linear")
    if not isinstance(targets, list):
        return shape.lora_parameters(rank)
    chosen = [sizes for name, sizes in shape.linear_shapes.items() if name in targets]
    return shape.layers * rank * sum(out + into for out, into in chosen)
