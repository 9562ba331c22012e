"""``kill -9`` anywhere in ``cycle run``: run again, it goes on, and nothing is there twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE, project, run, write_rows
from metier.core import ledger
from metier.core.workspace import Workspace
from metier.registry.releases import list_releases

SETTINGS = (
    '[[objective.target]]\nmetric = "f1_macro"\nat_least = 0.1\n'
    + DATA
    + '[tune]\nmethod = { type = "lora", r = 4, alpha = 8 }\nlr = 4e-3\nepochs = 1\n'
    "batch_tokens = 512\n[evaluate]\nresamples = 100\nvalidation_sample = 10\n"
    'rungs = ["keyword", "zero_shot"]\n'
)
POINTS = ("data: freeze", "evaluate keyword", "tune", "evaluate tuned")
MORE = ("import rows.jsonl", "data: split", "fit keyword", "evaluate zero_shot", "encode")


def killed_at(folder: Path, task: str) -> None:
    """Start ``cycle run`` and kill it when its log says that ``task`` has begun."""
    command = [sys.executable, "-m", "metier", "cycle", "run", "--project", str(folder)]
    cycle = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = folder / ".metier" / "logs" / "progress.jsonl"
    begun = json.dumps({"task": task})[1:-1]
    seen = log.read_text().count("\n") if log.exists() else 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and cycle.poll() is None:
        lines = log.read_text().splitlines()[seen:] if log.exists() else []
        if any(begun in line for line in lines):
            break
        time.sleep(0.01)
    ended = cycle.poll()
    cycle.kill()
    cycle.wait()
    assert ended is None, f"the cycle ended with {ended} before {task!r}"


@pytest.mark.parametrize(
    "points", [POINTS, pytest.param(MORE, marks=pytest.mark.slow)], ids=["short", "every stage"]
)
def test_a_killed_cycle_goes_on(
    tmp_path: Path, points: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, 80)
    project(tmp_path, HEAD + OBJECTIVE + SETTINGS)
    for point in points:
        killed_at(tmp_path, point)
    code, out, err = run(capsys, "cycle", "run", "--project", str(tmp_path), "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["cycle"]["finished_at"]
    assert result["release"]["gate"]["state"] in ("passed", "failed", "not_enough_data")
    with Workspace.open(tmp_path) as workspace:
        assert len(ledger.list_cycles(workspace)) == 1
        assert len(ledger.list_versions(workspace)) == 1
        assert [one.state for one in ledger.list_runs(workspace)] == ["done"]
        assert len(list_releases(workspace)) == 1
        reports = [one.rung for one in ledger.list_evaluations(workspace)]
        assert sorted(reports) == ["keyword", "tuned", "zero_shot"]
        assert ledger.get_version(workspace).looks_used == 1
        assert workspace.audit.verify().ok
