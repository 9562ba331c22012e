"""A project with a base of a few thousand weights, and a run whose adapter was drawn at random."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cases import LABELS, examples, version

from metier.core import ledger
from metier.core.records import TuneRun
from metier.journey.session import Session, open_session
from metier.models.adapters import save_adapter
from metier.models.base import Base, load_base
from tiny_models import tiny_base

PROJECT = """
[project]
name = "desk"
base = "base"
system = "You sort the post."
[objective]
task = "{task}"
{more}
[evaluate]
resamples = 100
[evaluate.parity]
rows = 6
max_new_tokens = 12
"""


def base_folder(folder: Path, kind: str = "llama") -> Base:
    """Save a random base where users have theirs, and load it from there."""
    made = tiny_base(kind)
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return load_base(str(folder))


@contextmanager
def project(
    root: Path, task: str = "classify", kind: str = "llama", more: str = ""
) -> Iterator[Session]:
    """An open project with the base ``base`` beside its metier.toml."""
    root.mkdir(parents=True, exist_ok=True)
    labels = f"labels = {list(LABELS)}" if task == "classify" else ""
    (root / "metier.toml").write_text(PROJECT.format(task=task, more=labels) + more)
    base_folder(root / "base", kind)
    with open_session(root / "metier.toml") as session:
        yield session


def drawn_run(session: Session, *, scale: float = 1.0) -> TuneRun:
    """A finished run whose adapter's weights were drawn at random, times ``scale``."""
    ws = session.workspace
    splits = {"train": examples(9), "validation": examples(6, start=50), "test": examples(6, 80)}
    frozen = version(ws, splits)
    base = load_base(str(session.root / "base"))
    folder = ws.work_dir / "drawn"
    save_adapter(_adapted(base, scale), base, folder)
    config: dict[str, Any] = {"system": session.project.project.system}
    run = ledger.start_run(ws, frozen, str(session.root / "base"), config)
    return ledger.finish_run(ws, run.id, "done", ws.artifacts.put_tree(folder), {})


def _adapted(base: Base, scale: float) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM",
        init_lora_weights=False,
    )  # fmt: skip
    model = get_peft_model(copy.deepcopy(base.model), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.mul_(scale)
    return model
