"""Put the chosen kernels to work on a model for the time of a tune.

with applied(choose(this_machine()), model) as used:
    ...                                # used: what is in use, for the run's record
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from metier.core.types import Json
from metier.tune.kernels.choice import Choice
from metier.tune.kernels.fused import fused
from metier.tune.kernels.packed import works
from metier.tune.packing import attention


@contextmanager
def applied(choice: Choice, model: Any) -> Iterator[dict[str, Json]]:
    """Use the kernels while the block runs; yields what came to be used, in words."""
    choice = _tried(choice, model)
    undo = _compile(model) if choice.compiled else []
    if choice.liger:
        _liger(model)
    said: dict[str, Json] = dict(choice.why)
    attention.use_kernel(choice.attention)
    try:
        if not choice.low_rank:
            yield said
            return
        with fused(model) as parts:
            yield said | {"fused_parts": parts}
    finally:
        attention.use_kernel("sdpa")
        for module in undo:
            module._compiled_call_impl = None


def _tried(choice: Choice, model: Any) -> Choice:
    """The choice, with plain attention where the chosen one does not work on this machine."""
    if choice.attention == "sdpa":
        return choice
    text = model.config.get_text_config()
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    problem = works(
        choice.attention, model.device, torch.bfloat16 if bf16 else torch.float32, width
    )
    if not problem:
        return choice
    why = {**choice.why, "attention": f"sdpa ({choice.attention} {problem})"}
    return replace(choice, attention="sdpa", why=why)


def _compile(model: Any) -> list[Any]:
    """Compile the feed-forward blocks, whose shape follows the row's length alone."""
    blocks = [part for part in model.modules() if type(part).__name__.endswith("MLP")]
    for block in blocks:
        block.compile(dynamic=True)
    return blocks


def _liger(model: Any) -> None:
    """Put Liger's norms and feed-forward blocks into the model (they stay: the same numbers).

    The loss stays ours: it is of supervised tokens only, and its head runs on those alone.
    """
    # By name: the package is on no machine without a GPU.
    apply = import_module("liger_kernel.transformers")._apply_liger_kernel_to_instance
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    apply(model=inner, fused_linear_cross_entropy=False, cross_entropy=False)
