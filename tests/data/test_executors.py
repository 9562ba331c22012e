"""Executors: the same outcomes wherever a step runs, a few batches at a time."""

import base64
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from data_examples import labelled
from metier.core.errors import BoundaryError, ConfigError, InputError
from metier.core.steps import Drop, Keep
from metier.data.executors import Batches, LocalExecutor, Work, make_executor
from metier.data.executors import ray as ray_module
from metier.data.executors.ray import RayExecutor, _windows

ROWS = [labelled(number, f"text {number}") for number in range(1000)]


@dataclass
class Marks:
    """Drops every seventh row, and marks the others with what it learned."""

    name: str = "marks"
    fails_at: str = ""

    def apply(self, batch, state):
        for one in batch:
            if one.id == self.fails_at:
                raise InputError("a thing", got="nothing")
            if int(one.id[3:]) % 7 == 0:
                yield Drop(one, "seventh")
            else:
                yield Keep(one.changed(self.name, slices={"state": state}))


class Unreadable(Marks):
    """A step that no worker can unpickle: Ray Data must not try for ever."""

    def __reduce__(self):
        return fail, ()


def fail():
    raise RuntimeError("nowhere to be read")


def outcomes(executor, work):
    return [(batch, found) for batch, found in executor.run(work, Batches(ROWS, 64))]


def test_a_pool_gives_what_one_process_gives():
    work = Work(Marks(), "learned")
    alone = outcomes(LocalExecutor(1), work)
    assert [one.id for batch, _ in alone for one in batch] == [one.id for one in ROWS]
    assert outcomes(LocalExecutor(2, pool_pays_from_s=0.0), work) == alone


def test_an_error_in_a_pool_is_the_error_itself():
    work = Work(Marks(fails_at="ex_700"), "")
    with pytest.raises(InputError) as caught:
        outcomes(LocalExecutor(2, pool_pays_from_s=0.0), work)
    assert str(caught.value) == "expected a thing\ngot nothing"
    assert caught.value.got == "nothing"


class Counted(list):
    """Rows that count how many of them were asked for."""

    asked = 0

    def __iter__(self):
        for row in super().__iter__():
            self.asked += 1
            yield row


def test_no_executor_reads_far_ahead():
    rows = Counted(ROWS)
    for executor in (LocalExecutor(1), LocalExecutor(2, pool_pays_from_s=0.0)):
        rows.asked = 0
        done = executor.run(Work(Marks(), ""), Batches(rows, 10))
        next(done)
        next(done)
        assert rows.asked <= 110
        done.close()


def test_windows_for_ray_end_by_batches_or_by_bytes(monkeypatch):
    monkeypatch.setattr(ray_module, "WINDOW_BATCHES", 4)
    sizes = [len(window) for window in _windows(Batches(ROWS, 100))]
    assert sizes == [4, 4, 2]
    monkeypatch.setattr(ray_module, "WINDOW_BYTES", 1)
    assert [len(window) for window in _windows(Batches(ROWS, 100))] == [1] * 10


def test_batches_are_cut_and_counted():
    batches = Batches(ROWS, 300)
    assert [len(batch) for batch in batches] == [300, 300, 300, 100]
    assert len(batches) == 4
    assert list(Batches([], 300)) == []


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'metier\[ray\]'"):
        outcomes(make_executor("ray"), Work(Marks(), ""))


class Cluster:
    def __init__(self, machines):
        self.machines = machines

    def nodes(self):
        return [{"Alive": True}] * self.machines


def test_a_ray_of_several_machines_gets_no_rows():
    ray_module._refuse_other_machines(Cluster(1))
    with pytest.raises(ray_module.EgressRefused, match="a Ray with 2 machines"):
        ray_module._refuse_other_machines(Cluster(2))


def test_a_failing_step_is_named_in_a_pool_too():
    @dataclass
    class Fails:
        name: str = "fails"

        def apply(self, batch, state):
            raise KeyError("x")

    with pytest.raises(BoundaryError, match="step fails: KeyError"):
        outcomes(LocalExecutor(2, pool_pays_from_s=0.0), Work(Fails(), ""))


ON_RAY = """
import subprocess, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]) / "data")]
from data_examples import CLASSIFY, GOOD, MESSY, settings_of, write
from test_executors import ROWS, Marks, Unreadable, outcomes
from metier.core.errors import BoundaryError, InputError
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.executors import LocalExecutor, Work
from metier.data.executors.ray import RayExecutor

folder = write(Path(sys.argv[1]) / "data", GOOD + MESSY)
hashes = set()
for executor in ("local", "ray"):
    with Workspace.create(Path(sys.argv[1]) / executor) as ws:
        settings = settings_of(executor=executor, workers=2, memory_rows=5)
        version = build(settings, CLASSIFY, ws, folder, Progress()).version
        hashes.add((version.hash, version.splits["test"]))
print("hashes", len(hashes))
ray = RayExecutor(2)
work = Work(Marks(), "learned")
print("same", outcomes(ray, work) == outcomes(LocalExecutor(1), work))
try:
    outcomes(ray, Work(Marks(fails_at="ex_700"), ""))
except InputError as error:
    print("error", error.got)
try:
    outcomes(ray, Work(Unreadable(), ""))
except BoundaryError as error:
    print("unreadable", "RuntimeError: nowhere to be read" in str(error))
import psutil
listening = [one.laddr.ip for process in [psutil.Process(), *psutil.Process().children(True)]
             for one in process.net_connections("inet") if one.status == "LISTEN"]
print("loopback", bool(listening) and all("127.0.0.1" in ip or ip == "::1" for ip in listening))
place = ray._folder
ray.close()
print("left", Path(place).exists())
"""


def ray_environment():
    """Workers find the steps of this file, and both workspaces have one key."""
    here = Path(__file__).parent
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(here.parent), str(here)])
    key = base64.b64encode(bytes(32)).decode()
    return {**os.environ, "OMP_NUM_THREADS": "1", "METIER_KEY": key, "PYTHONPATH": path}


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: the extra metier[ray]")
def test_ray_gives_the_same_bytes_and_listens_to_nobody_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ON_RAY, tmp_path, Path(__file__).parents[1]],
        capture_output=True,
        text=True,
        check=False,
        env=ray_environment(),
    )
    said = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert dict(one for one in said if len(one) == 2) == {
        "hashes": "1",
        "same": "True",
        "error": "nothing",
        "unreadable": "True",
        "loopback": "True",
        "left": "False",
    }, done.stdout + done.stderr


def test_ray_is_not_started_before_it_is_used():
    executor = RayExecutor(2)
    executor.close()
    assert executor._ray is None
