"""One tune in two processes: the same losses as in one, resumed with another number, and its ends.

The processes are real ones, started by the command line, and talk by gloo on this machine.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from cases import settings
from devices_cases import losses, process_of_rank, project, started, tune, wait_for

from desk import run
from metier.core import ledger
from metier.core.errors import ConfigError
from metier.core.records import TuneRun
from metier.core.workspace import Workspace
from metier.tune.devices.allowed import require_divisible
from metier.tune.devices.launch import told_or_lost
from metier.tune.devices.share import divided
from metier.tune.devices.world import RankLost, World


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project with a random base and a built version."""
    return project(tmp_path, capsys, "lora")


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


def test_a_process_that_dies_is_named_and_one_device_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, capsys, "lora", "epochs = 30\n")
    both = started(folder, "--devices", "2")
    wait_for(lambda: list(folder.rglob("checkpoint-*[0-9]")) or both.poll() is not None)
    os.kill(process_of_rank(both.pid, 1), signal.SIGKILL)
    _, err = both.communicate(timeout=120)
    assert both.returncode == RankLost.exit_code
    assert "process 1 (of 0 to 1) killed by SIGKILL" in err
    [left] = runs(folder)
    assert left.state == "interrupted"
    code, out, err = run(capsys, "tune", "--project", str(folder), "--json")
    assert code == 0, err
    ended = json.loads(out)
    assert (ended["id"], ended["state"]) == (left.id, "done")
    assert ended["summary"]["resumed_at"] > 0


def test_the_process_that_died_is_told_from_those_it_left() -> None:
    ended = {0: SimpleNamespace(exitcode=RankLost.exit_code), 3: SimpleNamespace(exitcode=-9)}
    with pytest.raises(RankLost, match=r"process 3 .of 0 to 3. killed by SIGKILL"):
        told_or_lost(ended, 4)
    assert told_or_lost({1: SimpleNamespace(exitcode=2)}, 4) == 2


def test_more_devices_than_there_are_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "tune", "--project", str(desk), "--devices", "4096")
    assert code == 2
    assert "at most" in err and "got --devices 4096" in err


@pytest.mark.parametrize("change", [{"algorithm": {"type": "dpo"}}, {"method": {"type": "qlora"}}])
def test_what_was_not_shown_to_work_divided_is_refused(change: dict[str, object]) -> None:
    require_divisible(settings(**change), World(0, 1))
    with pytest.raises(ConfigError, match="on several devices"):
        require_divisible(settings(**change), World(0, 2))


def test_shares_are_even_and_hold_every_item_once() -> None:
    lengths = [9, 31, 17, 5, 23, 11, 2]
    shares = divided(range(7), lengths, 3)
    assert sorted(index for share in shares for index in share) == list(range(7))
    loads = [sum(lengths[index] for index in share) for share in shares]
    assert max(loads) <= 4 / 3 * max(sum(lengths) / 3, max(lengths))
    assert sorted(map(len, divided([4], lengths, 3))) == [0, 0, 1]
