"""What is trained: an adapter beside the base, or the base itself. And how fast."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metier.core.errors import ConfigError
from metier.models.adapters import NOTE, save_adapter
from metier.models.base import Base, no_bars
from metier.tune.config import Full, Lora, TuneConfig


@contextmanager
def trainable(base: Base, config: TuneConfig) -> Iterator[Any]:
    """Yield the model to train; afterwards the base's own model is as it was before.

    The adapter's start is drawn under ``config.seed``. A full tune works on a copy.
    """
    import torch

    torch.manual_seed(config.seed)
    model = base.model
    if isinstance(config.method, Full):
        # Optimiser steps are often smaller than bfloat16 can add to a weight.
        yield copy.deepcopy(model).float().requires_grad_(True)
        return
    usual, frozen = model.config._attn_implementation, _requires_grad(model)
    adapted = _with_lora(model, config.method)
    try:
        yield adapted
    finally:
        adapted.unload()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(frozen[name])
        # TRL patches the forward of the model it trains; PEFT leaves its configuration on it.
        for left in ("forward", "peft_config"):
            vars(model).pop(left, None)
        model.set_attn_implementation(usual)
        model.eval()


def _with_lora(model: Any, method: Lora) -> Any:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.targets,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # PEFT asks transformers under a name that transformers has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        try:
            return get_peft_model(model, settings)
        except ValueError as error:
            if "not found in the base model" not in str(error):
                raise
            raise ConfigError(
                "names of this model's layers in [tune] method.targets",
                got=str(method.targets),
                remedy=f'take targets = "all-linear", or some of {_linear_names(model)}',
            ) from error


def _linear_names(model: Any) -> str:
    import torch

    names = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    return ", ".join(sorted(names - {"lm_head"}))


def _requires_grad(model: Any) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def learning_rate(config: TuneConfig, parameters: int) -> float:
    """Return the peak learning rate; ``auto`` takes it from the base's number of parameters.

    LoRA: 3e-4 at 8e9 parameters (the best of a sweep over models, thinking-machines-lab/
    tinker-cookbook, hyperparam_utils.py at 02face3), 4e-3 at 6.5e6 (measured on the bundled base),
    a power of the size between and beyond. Full tuning: a tenth at 8e9 (same source), 1e-3 at
    6.5e6 (measured), which is the inverse square root of the size that source uses.
    """
    if config.lr != "auto":
        return config.lr
    size = 8e9 / max(parameters, 1)
    lora = isinstance(config.method, Lora)
    rate = 3e-4 * size**0.364 if lora else 3e-5 * size**0.5
    return float(f"{min(rate, 5e-3):.2g}")


def export(model: Any, base: Base, config: TuneConfig, folder: Path) -> None:
    """Write what the tune leaves: an adapter in PEFT's layout, or a whole model with tokenizer."""
    if isinstance(config.method, Full):
        with no_bars():
            model.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)
        note = {"made_from": base.name, "base_fingerprint": base.fingerprint}
        (folder / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")
        return
    save_adapter(model, base, folder)
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT notes the folder the base was read from, which means nothing on another machine.
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base.name
    if isinstance(settings["target_modules"], list):
        settings["target_modules"].sort()  # PEFT holds a set: its order would change the digest
    path.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")
