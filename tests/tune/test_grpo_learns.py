"""GRPO on the bundled base: a reward rises on held-out prompts; a killed run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import DataVersion
from metier.core.types import Conversation, Example, Provenance
from metier.core.workspace import Workspace
from metier.models.base import load_base
from metier.tune.config import TuneConfig
from metier.tune.run import tune

THINGS = ["parcel", "invoice", "refund", "ticket", "order", "password", "delivery", "card"]
ASKS = ("Where is my {}?", "I want to change my {}.", "My {} is wrong, what now?")
KIND = Objective.model_validate(
    {
        "task": "chat",
        "check": [{"name": "kind", "type": "pattern", "must_match": "(?i)thank|please|sorry"}],
    }
)
HERE = Path(__file__).parent
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import test_grpo_learns as here
from metier.core.progress import Progress
from metier.core.workspace import Workspace

at = int(sys.argv[2])
def sink(event):
    if at and event.step == at and "reward" in event.values: os.kill(os.getpid(), signal.SIGKILL)
with Workspace.open_or_create(Path(sys.argv[1])) as ws:
    here.tuned(ws, epochs=0.5, progress=Progress(sink))
"""


def prompts(count: int, seed: int, things: list[str]) -> list[Example]:
    draw = random.Random(seed)
    found = []
    for number in range(count):
        text = (
            f"{draw.choice(ASKS).format(draw.choice(things))} It is {draw.randrange(1000, 9999)}."
        )
        found.append(
            Example(
                id=Example.make_id("prompts", f"{seed}-{number}"),
                conversation=Conversation.of(("user", text)),
                target=None,
                provenance=Provenance("prompts", "prompts", str(number)),
            )
        )
    return found


def version(ws: Workspace) -> DataVersion:
    splits = {"train": prompts(96, 0, THINGS[:6]), "validation": prompts(60, 1, THINGS[6:])}
    return ledger.save_version(ws, splits, labels=(), config={}, card={}, sources=[])


def tuned(ws: Workspace, epochs: float, **more: Any) -> dict[str, list[float]]:
    algorithm = {
        "type": "grpo",
        "reward": [{"type": "scorer", "name": "kind"}],
        "max_new_tokens": 24,
    }
    config = TuneConfig.model_validate(
        {
            "method": {"type": "lora", "r": 16, "alpha": 32},
            "lr": 2e-3,
            "epochs": epochs,
            "batch_tokens": 1920,
            "checkpoint_every": 2,
            "algorithm": algorithm,
        }
    )
    run = tune(config, version(ws), ws, load_base("metier/tiny"), KIND, **more)
    series: dict[str, list[float]] = {}
    for point in ledger.metric_points(ws, run.id):
        series.setdefault(point.name, []).append(point.value)
    return series


@pytest.mark.slow
def test_a_programmatic_reward_rises_on_held_out_prompts(workspace: Workspace) -> None:
    series = tuned(workspace, epochs=1)
    before, after = series["validation_reward_high"][0], series["validation_reward_low"][-1]
    assert after > before, "the two intervals (n = 60) lie apart"


def child(root: Path, kill_at: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(kill_at), str(HERE), str(HERE.parent)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def rewards(root: Path) -> list[float]:
    with Workspace.open(root) as ws:
        (run,) = ledger.list_runs(ws)
        assert run.state == "done"
        points = ledger.metric_points(ws, run.id)
    return [point.value for point in points if point.name == "reward"]


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_reward_curve(tmp_path: Path) -> None:
    assert child(tmp_path / "whole", 0) == 0
    assert child(tmp_path / "killed", 7) == -signal.SIGKILL
    assert child(tmp_path / "killed", 0) == 0
    assert rewards(tmp_path / "killed") == pytest.approx(rewards(tmp_path / "whole"), abs=0.05)
