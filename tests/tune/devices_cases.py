"""A project to tune on several devices, and the processes that do: what those tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import LABELS, WORDS

from desk import run
from metier.core import ledger
from metier.core.workspace import Workspace
from tiny_models import tiny_base

HEAD = """
[project]
name = "several"
base = "base"
[objective]
task = "classify"
labels = ["billing", "delivery", "returns"]
instruction = "Answer the label."
[data]
sources = [{ path = "rows.jsonl", prompt = "message", target = "label" }]
[tune]
method = { type = "METHOD" }
lr = 1e-2
batch_tokens = 256
checkpoint_every = 2
"""


def project(
    folder: Path, capsys: pytest.CaptureFixture[str], method: str, more: str = "epochs = 2\n"
) -> Path:
    base = tiny_base()
    base.model.save_pretrained(folder / "base")
    base.tokenizer.save_pretrained(folder / "base")
    (folder / "metier.toml").write_text(HEAD.replace("METHOD", method) + more)
    rows = []
    for number in range(40):
        label = LABELS[number % 3]
        text = f"where is my {WORDS[label]} " + "please " * (number % 7) + str(number)
        rows.append(json.dumps({"message": text, "label": label}))
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    code, _, err = run(capsys, "data", "build", "--project", str(folder))
    assert code in (0, 2), err
    return folder


def tune(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metier", "tune", "--project", str(folder), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environ,
        capture_output=True,
        text=True,
        timeout=300,
    )


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A tune that is not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "metier", "tune", "--project", str(folder), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(folder: Path, run: str) -> list[float]:
    with Workspace.open(folder) as ws:
        points = ledger.metric_points(ws, run)
    wanted = ("train_loss", "validation_loss", "grad_norm")
    return [point.value for point in points if point.name in wanted]


def wait_for(found: Callable[[], object], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


def process_of_rank(launcher: int, rank: int) -> int:
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    marked = f"RANK={rank}".encode()
    found = [c for c in children if marked in Path(f"/proc/{c}/environ").read_bytes().split(b"\0")]
    return int(found[0])
