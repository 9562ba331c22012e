"""Sweeps from the plan to the adopted settings, killed on the way, and shared by workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metier.core import ledger
from metier.core.errors import ConfigError, InputError, NotFound
from metier.journey.sweeping import outline_sweep, run_sweep, write_page
from metier.tune.sweep.result import SweepResult
from sweep_cases import SWEEP, make_project, opened, trial_runs

HERE = Path(__file__).parent
PATHS = [str(HERE), str(HERE.parent), str(HERE.parent / "tune")]
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from sweep_cases import opened
from metier.core.progress import Progress
from metier.journey.sweeping import run_sweep

left = int(sys.argv[2])
def sink(event):
    global left
    if event.kind == "metric" and "train_loss" in event.values:
        left -= 1
        if left == 0: os.kill(os.getpid(), signal.SIGKILL)
with opened(Path(sys.argv[1]), Progress(sink)) as session:
    run_sweep(session)
"""


def child(file: Path, kill_after_steps: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file), str(kill_after_steps), *PATHS],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def values(result: SweepResult) -> dict[tuple[float, int], tuple[int, float]]:
    """(learning rate, rung) -> (step, metric)."""
    return {
        (float(trial.settings["lr"]), rung): (one.step, one.estimate.value)
        for trial in result.trials
        for rung, one in trial.measured.items()
    }


def test_a_dry_run_says_what_it_costs_and_does_nothing(tmp_path: Path) -> None:
    with opened(make_project(tmp_path)) as session:
        planned = outline_sweep(session)
        assert planned.plan.trials == 4
        assert planned.plan.runs <= 3
        assert planned.exhaustive_runs == 4
        assert planned.seconds is None
        assert ledger.list_runs(session.workspace) == []


def test_a_sweep_finds_a_winner_and_adopts_it(tmp_path: Path) -> None:
    file = make_project(tmp_path)
    with opened(file) as session:
        found = run_sweep(session, adopt=True)
        assert found.spent.runs <= 3
        furthest = {one.last.step / one.last.steps for one in found.trials if one.last}
        assert found.winner.last is not None
        assert found.winner.last.step / found.winner.last.steps == max(furthest) == 1
        assert found.runner_up is not None
        assert found.runner_up.share == 1
        assert found.corrected.value <= found.estimate.value
        assert found.estimate.n == 24
        # Only validation rows were asked, and the disk holds nothing of the losers.
        reports = ledger.list_evaluations(
            session.workspace, ledger.get_version(session.workspace).id
        )
        assert {one.split for one in reports} == {"validation"}
        dropped = [one.run for one in found.trials if one.state == "dropped"]
        assert len(dropped) == 2
        for run in dropped:
            assert not list((session.workspace.work_dir / "tune").glob(f"{run}/checkpoint-*"))
        # Asked again, nothing is trained.
        runs = trial_runs(session)
        again = run_sweep(session)
        assert (values(again), again.words) == (values(found), found.words)
        assert trial_runs(session) == runs
        # The winner's run is the project's own, the settings are in the file, the comment stays.
        own = ledger.get_run(session.workspace)
        assert own.summary["adopted_from"] == found.winner.run
        assert own.config["lr"] == found.settings["lr"]
        page = write_page(found, tmp_path / "sweep.html").read_text()
        assert f"lr = {found.settings['lr']}" in page
        assert "Across: the share of a full run" in page and "<span>100%</span>" in page
    text = file.read_text()
    assert tomllib.loads(text)["tune"]["lr"] == found.settings["lr"]
    assert "# by hand" in text


@pytest.mark.parametrize(
    "kills", [(7,), pytest.param((3, 11, 6, 2), marks=pytest.mark.slow)], ids=["once", "often"]
)
def test_killed_it_goes_on_to_the_same_results(tmp_path: Path, kills: tuple[int, ...]) -> None:
    with opened(make_project(tmp_path / "whole")) as session:
        whole = values(run_sweep(session))
        count = len(trial_runs(session))
    file = make_project(tmp_path / "killed")
    for steps in kills:
        process = child(file, steps)
        _, told = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, told.decode()
    with opened(file) as session:
        again = run_sweep(session)
        assert values(again) == whole
        assert len(trial_runs(session)) == count  # no trial was begun a second time


@pytest.mark.slow
def test_processes_share_a_sweep(tmp_path: Path, database_url: str) -> None:
    file = make_project(tmp_path, store=database_url)
    with opened(file) as session, pytest.raises(NotFound):
        run_sweep(session, join=True, wait_s=0)
    workers = [child(file, -1), child(file, -1)]
    for worker in workers:
        _, told = worker.communicate(timeout=300)
        assert worker.returncode == 0, told.decode()
    with opened(file) as session:
        found = run_sweep(session, join=True)
        assert len(trial_runs(session)) == len(found.trials) == 4
        reports = ledger.list_evaluations(
            session.workspace, ledger.get_version(session.workspace).id
        )
        measured = [one.evaluation for trial in found.trials for one in trial.measured.values()]
        # Each piece was done once; weights that are the same again are not asked again.
        assert set(measured) == {one.id for one in reports}


def test_money_that_does_not_pay_for_one_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metier.tune.sweep import budget

    monkeypatch.setattr(budget, "expected_s", lambda *_: 1.0)
    sweep = SWEEP | {"budget": {"type": "money", "usd": 1e-12}}
    with opened(make_project(tmp_path, sweep)) as session:
        with pytest.raises(InputError, match="larger budget"):
            run_sweep(session)
        assert ledger.list_runs(session.workspace) == []


def test_a_range_that_tune_does_not_take_is_refused_before_anything_is_spent(
    tmp_path: Path,
) -> None:
    sweep = SWEEP | {"space": {"lr": {"values": [1e-3, 2.0]}}}
    with opened(make_project(tmp_path, sweep)) as session, pytest.raises(ConfigError, match="lr"):
        run_sweep(session)
