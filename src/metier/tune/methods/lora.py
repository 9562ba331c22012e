"""LoRA: a low-rank adapter beside the frozen base (arXiv 2106.09685)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metier.models.adapters import shared_copy
from metier.tune.config import LowRank, TuneConfig
from metier.tune.methods import adapter
from metier.tune.methods.types import Beginning


@contextmanager
def trainable(config: TuneConfig, beginning: Beginning) -> Iterator[Any]:
    """Yield the base with an adapter beside its weights, which are shared and frozen."""
    model = shared_copy(beginning.base.model)
    yield adapter.attach(model, settings(config.method), beginning)


def export(model: Any, config: TuneConfig, beginning: Beginning, folder: Path) -> None:
    """Write the adapter in PEFT's layout, its alpha multiplied by ``scale``."""
    adapter.export(model, beginning, folder)
    if isinstance(config.method, LowRank) and config.method.scale != 1:
        adapter.rescale(folder, config.method.scale)


def settings(method: Any) -> Any:
    """Return PEFT's configuration of the adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.targets,
        task_type="CAUSAL_LM",
    )
