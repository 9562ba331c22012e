"""A small project that the tests of sweeps share, in this process and in others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cases

from metier.core import ledger
from metier.core.progress import Progress
from metier.journey.session import Session, open_session
from tiny_models import tiny_base

SWEEP: dict[str, Any] = {
    "space": {"lr": {"values": [1e-4, 1e-3, 3e-2, 1e-2]}},
    "order": "together",
    "finalists": 2,
    "budget": {"type": "runs", "at_most": 3},
    "examples": 24,
}


def make_project(root: Path, sweep: Mapping[str, Any] | None = None, store: str = "") -> Path:
    """Write a project with a random base; return its file."""
    root.mkdir(parents=True, exist_ok=True)
    base = tiny_base()
    base.model.save_pretrained(root / "base")
    base.tokenizer.save_pretrained(root / "base")
    file = root / "metier.toml"
    head = f"store = {json.dumps(store)}\n" if store else ""
    file.write_text(
        head + '[project]\nname = "case"\nbase = "base"\n\n'
        f'[objective]\ntask = "classify"\nlabels = {json.dumps(list(cases.LABELS))}\n'
        'instruction = "Answer the label."\n\n'
        "[tune]\nlr = 1e-2  # by hand\nepochs = 2\nbatch_tokens = 192\n"
        'method = { type = "lora", r = 4, alpha = 8 }\n\n'
        f"[evaluate]\nresamples = 200\n\n[sweep]\n{_lines(sweep or SWEEP)}"
    )
    with open_session(file) as session:
        splits = {"train": cases.examples(36), "validation": cases.examples(24, start=100)}
        cases.version(session.workspace, splits)
    return file


def _lines(sweep: Mapping[str, Any]) -> str:
    from metier.core.toml_edit import literal

    return "".join(f"{key} = {literal(value)}\n" for key, value in sweep.items())


@contextmanager
def opened(file: Path, progress: Progress | None = None) -> Iterator[Session]:
    with open_session(file, progress or Progress()) as session:
        yield session


def trial_runs(session: Session) -> list[Any]:
    runs = ledger.list_runs(session.workspace)
    return [run for run in runs if ledger.TRIAL_OF in run.config]
