"""What is trained, how fast, and what it begins with: finds the method's module and asks it.

``begin`` comes first: it finds the weights to start from and the tokens that are new, so that
everything after it is encoded with the tokenizer that is trained with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from metier.core.types import Example
from metier.core.workspace import Workspace
from metier.models.adapters import base_for
from metier.models.base import Base
from metier.tune.config import Full, Pretrain, TuneConfig
from metier.tune.methods.adapter import read_config
from metier.tune.methods.start import find_start
from metier.tune.methods.types import Beginning, Method
from metier.tune.methods.vocabulary import widened


def begin(config: TuneConfig, base: Base, ws: Workspace, rows: Sequence[Example] = ()) -> Beginning:
    """Return what the tune begins with: the base, or the weights in ``start_from``, with the
    tokens that ``rows`` bring where the algorithm asks for new ones.

    Raises ConfigError for settings that the method does not have, and what ``find_start`` raises.
    """
    method = _module(config)
    if hasattr(method, "check"):
        method.check(config)
    beginning = Beginning(base) if config.start_from is None else _started(config, base, ws)
    algorithm = config.algorithm
    if isinstance(algorithm, Pretrain) and algorithm.new_tokens:
        return widened(beginning, algorithm, rows, ws.root)
    return beginning


def _started(config: TuneConfig, base: Base, ws: Workspace) -> Beginning:
    start = find_start(str(config.start_from), ws, base)
    if start.whole:
        return Beginning(base, start)
    learned = read_config(start.folder).get("trainable_token_indices") or {}
    tokens = sorted({number for ids in dict(learned).values() for number in ids})
    return Beginning(base_for(base, start.folder), start, tuple(tokens))


@contextmanager
def trainable(base: Base | Beginning, config: TuneConfig) -> Iterator[Any]:
    """Yield the model to train; afterwards the base's own model is as it was before.

    The adapter's first weights are drawn under ``config.seed``. A full tune works on a copy.
    """
    import torch

    torch.manual_seed(config.seed)
    with _module(config).trainable(config, _beginning(base)) as model:
        yield model


def export(model: Any, base: Base | Beginning, config: TuneConfig, folder: Path) -> None:
    """Write what the tune leaves: an adapter in PEFT's layout, or a whole model with tokenizer."""
    _module(config).export(model, config, _beginning(base), folder)


def _beginning(base: Base | Beginning) -> Beginning:
    return base if isinstance(base, Beginning) else Beginning(base)


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
    whole = isinstance(config.method, Full)
    rate = 3e-5 * size**0.5 if whole else 3e-4 * size**0.364
    return float(f"{min(rate, 5e-3):.2g}")


def _module(config: TuneConfig) -> Method:
    return cast(Method, import_module(f"metier.tune.methods.{config.method.type}"))
