"""``kill -9`` in a process of its own, at a known step; the next call ends as if nothing was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cases import OBJECTIVE, settings, version

from metier.core import ledger
from metier.core.records import TuneRun
from metier.core.workspace import Workspace
from metier.tune.run import tune
from tiny_models import tiny_base

HERE = Path(__file__).parent
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from cases import OBJECTIVE, settings, version
from tiny_models import tiny_base
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.tune.loop import checkpoints
from metier.tune.run import tune

at, where = int(sys.argv[2]), sys.argv[3]
def die(): os.kill(os.getpid(), signal.SIGKILL)
def sink(event):
    if where == "step" and event.step == at and "train_loss" in event.values: die()
write = checkpoints._write_manifest
def killed_while_saving(folder):
    if where == "save" and folder.name.endswith(f"{at:08d}.partial"): die()
    write(folder)
checkpoints._write_manifest = killed_while_saving
with Workspace.create(Path(sys.argv[1])) as ws:
    tune(settings(checkpoint_every=2), version(ws), ws, tiny_base(), OBJECTIVE,
         progress=Progress(sink))
"""


def killed(root: Path, step: int, where: str) -> None:
    paths = [str(HERE), str(HERE.parent)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(step), where, *paths],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def ended(ws: Workspace) -> tuple[TuneRun, list[float]]:
    run = tune(settings(checkpoint_every=2), version(ws), ws, tiny_base(), OBJECTIVE)
    points = ledger.metric_points(ws, run.id)
    return run, [point.value for point in points if point.name == "train_loss"]


def same_end(tmp_path: Path, step: int, where: str) -> TuneRun:
    with Workspace.create(tmp_path / "whole") as ws:
        whole, losses = ended(ws)
    killed(tmp_path / "killed", step, where)
    with Workspace.open(tmp_path / "killed") as ws:
        before = ledger.get_run(ws)
        assert before.state == "running"
        resumed, again = ended(ws)
    assert resumed.id == before.id
    # Float noise between processes only: a step lost or done twice shows in the third digit.
    assert again == pytest.approx(losses, rel=1e-5)
    assert resumed.summary["final_train_loss"] == pytest.approx(
        whole.summary["final_train_loss"], rel=1e-5
    )
    assert resumed.summary["validation_loss"] == pytest.approx(
        whole.summary["validation_loss"], rel=1e-5
    )
    return resumed


def test_a_killed_tune_resumes_and_ends_with_the_same_loss(tmp_path: Path) -> None:
    assert same_end(tmp_path, 7, "step").summary["resumed_at"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 8, 9, 12])
def test_at_any_step(tmp_path: Path, step: int) -> None:
    assert same_end(tmp_path, step, "step").summary["resumed_at"] == (step - 1) // 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 6, 12])
def test_in_the_middle_of_saving(tmp_path: Path, step: int) -> None:
    assert same_end(tmp_path, step, "save").summary["resumed_at"] == step - 2
