"""Full: every weight is trained, on a copy in float32, and a whole model is left."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metier.models.adapters import NOTE, load_apart
from metier.models.base import no_bars
from metier.tune.config import Full, TuneConfig
from metier.tune.methods.start import load_whole
from metier.tune.methods.types import Beginning


@contextmanager
def trainable(config: TuneConfig, beginning: Beginning) -> Iterator[Any]:
    """Yield a copy of the weights that the tune begins with; an adapter is merged into it.

    float32, because optimiser steps are often smaller than bfloat16 can add to a weight.
    """
    yield _beginning(beginning).float().requires_grad_(True)


def export(model: Any, config: TuneConfig, beginning: Beginning, folder: Path) -> None:
    """Write a whole model with its tokenizer, ``scale`` of the way from the first weights to it."""
    method, base = config.method, beginning.base
    if isinstance(method, Full) and method.scale != 1:
        interpolate(model, _beginning(beginning), method.scale)
    with no_bars():
        model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    note = {"made_from": base.name, "base_fingerprint": base.fingerprint}
    (folder / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")


def interpolate(model: Any, before: Any, scale: float) -> None:
    """Move the model's weights back, to ``before + scale * (weights - before)``.

    WiSE-FT (arXiv 2109.01903, section 3): between the two the task is mostly kept and what the
    first weights could do elsewhere comes back.
    """
    import torch

    first = dict(before.named_parameters())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.lerp_(first[name].to(weight), 1 - scale)


def _beginning(beginning: Beginning) -> Any:
    start, base = beginning.start, beginning.base
    if start is None:
        return copy.deepcopy(base.model)
    if start.whole:
        return load_whole(start.folder)
    return copy.deepcopy(load_apart(base, start.folder)).float().merge_and_unload()
