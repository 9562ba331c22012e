"""What replies are worth to the model that training must stay near: computed once, kept.

The reference is the model as training starts, or the base without its adapter. Its
log-probabilities are computed before the first step and kept in the run's folder, so that
training never holds two models and a run that goes on reads what the first start computed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from metier.core.errors import out_of_space
from metier.core.progress import Progress, TaskProgress
from metier.tune.algorithms.base import SILENT, device_of
from metier.tune.packing import passes, prefix

FILE = "reference.safetensors"
Reference = Literal["start", "base"]


def reference(
    model: Any,
    sets: Mapping[str, Sequence[prefix.Tree]],
    manner: prefix.Manner,
    folder: Path,
    which: Reference,
    *,
    progress: Progress = SILENT,
) -> dict[str, list[Tensor]]:
    """Return, for each set of trees, each tree's log-probabilities [replies], float32 on the CPU.

    Computed once per run, counted prompt by prompt in ``progress``: read from ``folder`` where they
    are there already.
    """
    from safetensors.torch import load_file, save_file

    file = folder / FILE
    if not file.is_file():
        count = sum(map(len, sets.values()))
        with _as(model, which), progress.task("reference", total=count, unit="prompt") as task:
            found = {
                name: replies_log_probs(model, trees, manner, task) for name, trees in sets.items()
            }
        with out_of_space("keeping the reference's log-probabilities"):
            folder.mkdir(parents=True, exist_ok=True)
            save_file(found, folder / f".{FILE}")
            os.replace(folder / f".{FILE}", file)
    kept = load_file(file)
    return {
        name: list(kept[name].split([len(tree.replies) for tree in trees]))
        for name, trees in sets.items()
    }


@torch.no_grad()
def replies_log_probs(
    model: Any,
    trees: Sequence[prefix.Tree],
    manner: prefix.Manner,
    task: TaskProgress | None = None,
) -> Tensor:
    """Return the log-probability of every reply, nats, in order; the model ends as it was.

    ``task`` counts the prompts.
    """
    training = model.training
    model.eval()
    sums: list[Tensor] = [torch.empty(0)] * len(trees)
    for batch in manner.cut(trees, range(len(trees))):
        one = manner.lay_out([trees[index] for index in batch])
        with precision(model):
            found, _ = prefix.log_probs(model, passes.to_device(one, device_of(model)))
        sizes = [len(trees[index].replies) for index in batch]
        for index, part in zip(batch, torch.split(found.float().cpu(), sizes), strict=True):
            sums[index] = part
        if task is not None:
            task.advance(len(batch))
    model.train(training)
    return torch.cat(sums) if sums else torch.empty(0)


def precision(model: Any) -> AbstractContextManager[Any]:
    """The precision that the trainer computes in: bfloat16 on a GPU that has it."""
    if device_of(model).type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def _as(model: Any, which: Reference) -> Iterator[None]:
    if which == "base" and hasattr(model, "disable_adapter"):
        with model.disable_adapter():
            yield
    else:
        yield
