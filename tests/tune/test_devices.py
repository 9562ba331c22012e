"""One tune in two processes: the same losses as in one, resumed with another number, and its ends.

The processes are real ones, started by the command line, and talk by gloo on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cases import LABELS, WORDS
from desk import run
from metier.core import ledger
from metier.core.records import TuneRun
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
epochs = 2
batch_tokens = 256
checkpoint_every = 2
"""


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project with a random base and a built version."""
    return project(tmp_path, capsys, "lora")


def project(folder: Path, capsys: pytest.CaptureFixture[str], method: str, more: str = "") -> Path:
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


def losses(folder: Path, run: str) -> list[float]:
    with Workspace.open(folder) as ws:
        points = ledger.metric_points(ws, run)
    wanted = ("train_loss", "validation_loss", "grad_norm")
    return [point.value for point in points if point.name in wanted]


def runs(folder: Path) -> list[TuneRun]:
    with Workspace.open(folder) as ws:
        return list(ledger.list_runs(ws))


def test_two_devices_learn_what_one_does(desk: Path) -> None:
    alone, both = tune(desk, "--json"), tune(desk, "--json", "--restart", "--devices", "2")
    assert alone.returncode == both.returncode == 0, alone.stderr + both.stderr
    one, two = json.loads(alone.stdout), json.loads(both.stdout)
    assert one["id"] != two["id"] and two["state"] == "done" and two["adapter"]
    assert (one["summary"]["devices"], two["summary"]["devices"]) == (1, 2)
    expected = losses(desk, one["id"])
    assert len(expected) > 10
    assert losses(desk, two["id"]) == pytest.approx(expected, abs=1e-5)
