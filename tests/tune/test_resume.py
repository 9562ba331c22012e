"""``kill -9`` in a process of its own, at a known step; the next call ends as if nothing was.

Both runs are processes with the same number of threads: float sums over several threads depend on
how many there are, so that only runs on one number of threads can be compared to the last digit.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metier.core import ledger
from metier.core.workspace import Workspace

HERE = Path(__file__).parent
CHILD = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[5:]
from cases import OBJECTIVE, settings, version
from tiny_models import tiny_base
from metier.core import ledger
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.tune.loop import checkpoints
from metier.tune.run import tune

at, where, changes = int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
def die(): os.kill(os.getpid(), signal.SIGKILL)
def sink(event):
    if where == "step" and event.step == at and "train_loss" in event.values: die()
write = checkpoints._write_manifest
def killed_while_saving(folder):
    if where == "save" and folder.name.endswith(f"{at:08d}.partial"): die()
    write(folder)
checkpoints._write_manifest = killed_while_saving
with Workspace.create(Path(sys.argv[1])) as ws:
    run = tune(settings(**changes), version(ws), ws, tiny_base(), OBJECTIVE,
               progress=Progress(sink))
    points = ledger.metric_points(ws, run.id)
    losses = [point.value for point in points if point.name == "train_loss"]
    print(json.dumps({"id": run.id, "losses": losses, "summary": dict(run.summary)}))
"""
DROPOUT = {"method": {"type": "lora", "r": 4, "alpha": 8, "dropout": 0.2}, "checkpoint_every": 2}


def process(root: Path, changes: dict[str, Any], step: int = 0, where: str = "nowhere") -> Any:
    asked = [str(root), str(step), where, json.dumps(changes), str(HERE), str(HERE.parent)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *asked],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    if where != "nowhere":
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        return None
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The run that nothing happened to."""
    return process(tmp_path_factory.mktemp("whole"), DROPOUT)


def same_end(whole: Any, root: Path, step: int, where: str) -> int:
    """Kill a run, take it up again, compare with the whole one; returns where it went on."""
    process(root, DROPOUT, step, where)
    with Workspace.open(root) as ws:
        before = ledger.get_run(ws)
        assert before.state == "running"
    again = process(root, DROPOUT)
    assert again["id"] == before.id
    assert again["losses"] == pytest.approx(whole["losses"], rel=1e-6)
    for name in ("final_train_loss", "validation_loss"):
        assert again["summary"][name] == pytest.approx(whole["summary"][name], rel=1e-6)
    for name in ("best_step", "task_metric_at_best", "findings"):
        assert again["summary"][name] == whole["summary"][name], name
    return int(again["summary"]["resumed_at"])


def test_a_killed_tune_resumes_and_ends_with_the_same_loss(whole: Any, tmp_path: Path) -> None:
    assert same_end(whole, tmp_path, 7, "step") == 6


@pytest.mark.slow
@pytest.mark.parametrize("step", random.Random(0).sample(range(1, 13), 10))
def test_at_ten_random_steps(whole: Any, tmp_path: Path, step: int) -> None:
    assert same_end(whole, tmp_path, step, "step") == (step - 1) // 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 6, 12])
def test_in_the_middle_of_saving(whole: Any, tmp_path: Path, step: int) -> None:
    assert same_end(whole, tmp_path, step, "save") == step - 2
