"""QLoRA: a LoRA over a base whose linear layers are held in 4 bits (arXiv 2305.14314).

The layers are quantised one after another from the base that is loaded already; everything else
(embeddings, norms, head) is shared with it. On a GPU the base itself waits in host memory
meanwhile, so that the peak is the 4-bit model and not both.

What is left is a LoRA for the base in full precision: it is evaluated, merged and served there.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metier.core.errors import ConfigError
from metier.models.adapters import shared_copy
from metier.tune.config import Qlora, TuneConfig
from metier.tune.methods import adapter, lora
from metier.tune.methods.types import Beginning


def check(config: TuneConfig) -> None:
    """Raise ConfigError when the library that quantises is not installed."""
    _bitsandbytes()


@contextmanager
def trainable(config: TuneConfig, beginning: Beginning) -> Iterator[Any]:
    """Yield the quantised base with an adapter beside its weights."""
    method = config.method
    if not isinstance(method, Qlora):
        raise TypeError(f"not a [tune] method of type qlora: {method}")
    with _out_of_the_way(beginning.base.model) as device:
        model = quantised(beginning.base.model, method, device)
        # PEFT asks for this to take its 4-bit layer; TRL, to cast the adapter to bfloat16.
        model.is_loaded_in_4bit = True
        adapted = adapter.attach(model, lora.settings(method), beginning)
        del model.is_loaded_in_4bit
        yield adapted


def export(model: Any, config: TuneConfig, beginning: Beginning, folder: Path) -> None:
    """Write the adapter, as LoRA does: it goes on the base in full precision."""
    lora.export(model, config, beginning, folder)


def quantised(model: Any, method: Qlora, device: Any) -> Any:
    """Return a copy on ``device`` whose linear layers, the head's left out, hold 4-bit weights.

    Levels by ``method.quant`` in blocks of 64; computed in the precision of ``model``.
    """
    import torch

    copied = shared_copy(model)
    head = copied.get_output_embeddings()
    for path, layer in list(copied.named_modules()):
        if type(layer) is torch.nn.Linear and layer is not head:
            parent, _, name = path.rpartition(".")
            setattr(copied.get_submodule(parent), name, _in_4_bits(layer, method, device))
    return copied.to(device)


def _in_4_bits(layer: Any, method: Qlora, device: Any) -> Any:
    bnb = _bitsandbytes()
    made = bnb.nn.Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        compute_dtype=layer.weight.dtype,
        compress_statistics=method.double_quant,
        quant_type=method.quant,
        device="meta",
    )
    made.weight = bnb.nn.Params4bit(
        layer.weight.data,
        requires_grad=False,
        quant_type=method.quant,
        compress_statistics=method.double_quant,
        module=made,
    )
    made.bias = layer.bias
    # On some CPUs evaluation would repack the weights with coarser scales, for good: what is
    # validated would not be what is trained.
    made.support_avx512bf16_for_cpu = False
    return made.to(device)


@contextmanager
def _out_of_the_way(model: Any) -> Iterator[Any]:
    """Keep the model in host memory meanwhile, where it was on a GPU; yields its device."""
    import torch

    device = next(model.parameters()).device
    if device.type == "cpu":
        yield device
        return
    model.to("cpu")
    torch.cuda.empty_cache()
    try:
        yield device
    finally:
        model.to(device)


def _bitsandbytes() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own imports use what torch is about to drop
            logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
            import bitsandbytes
    except ImportError as error:
        raise ConfigError(
            'bitsandbytes for [tune] method = { type = "qlora" }',
            got="it is not installed",
            remedy="pip install 'metier[quant]', or take method = { type = \"lora\" }",
        ) from error
    return bitsandbytes
