"""Out of memory: recognised in all its shapes, and answered with settings that hold.

The processor's allocator raises RuntimeError, Python MemoryError, a GPU torch.OutOfMemoryError;
they become ``OutOfMemory`` naming what was being done and which setting of [tune] to change. What
only changes how a step is cut into passes (``micro_batch_tokens``) leaves the run's identity as
it is: the same run goes on with it from its newest checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from metier.core.errors import OutOfMemory
from metier.tune.config import Full, TuneConfig
from metier.tune.packing.plan import Batch

SIGNS = (
    "out of memory",  # CUDA, MPS, XPU
    "not enough memory",  # DefaultCPUAllocator
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
)
LEAST_PASS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What a run asks of memory: tokens of its largest pass, and of its longest example."""

    pass_tokens: int
    example_tokens: int


def load_of(config: TuneConfig, lengths: Sequence[int], steps: Sequence[Batch]) -> Load:
    """Return the load of a planned run."""
    longest = max(lengths)
    largest = max(sum(lengths[index] for index in step) for step in steps)
    limit = config.micro_batch_tokens
    return Load(largest if limit is None else max(longest, min(largest, limit)), longest)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in words for sign in SIGNS)


@contextmanager
def enough_memory(config: TuneConfig, load: Load) -> Iterator[None]:
    """Turn an allocation that failed while training into OutOfMemory with advice."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"memory for training passes of {load.pass_tokens} tokens",
            got=_first_line(error),
            remedy=advice(config, load),
        ) from error


def advice(config: TuneConfig, load: Load) -> str:
    """Return what to change in [tune], the cheapest change first."""
    again = "and run `metier tune` again: the same run goes on from its last checkpoint"
    if load.pass_tokens > max(load.example_tokens, LEAST_PASS):
        less = max(LEAST_PASS, load.pass_tokens // 2)
        return f"set micro_batch_tokens = {less} in [tune] {again}, with the same losses"
    if config.gradient_checkpointing is not True:
        return f"set gradient_checkpointing = true in [tune] {again}, a third slower"
    more = ', or train an adapter (method = { type = "lora" })' * isinstance(config.method, Full)
    return (
        f"one example of {load.example_tokens} tokens fills a pass alone: lower max_tokens (now "
        f"{config.max_tokens}) in [tune]{more}, or take a smaller base; each starts a new run"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
