"""``metier tune --devices N``: a process per device, each of which runs the verb ``tune_base``."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from metier.core import ledger
from metier.core.workspace import Workspace
from metier.journey.session import Session
from metier.tune.devices.allowed import require
from metier.tune.devices.launch import launch, require_devices
from metier.tune.run import FOLDER


@dataclass(frozen=True)
class Several:
    """How many devices, the words after ``metier`` that each process is started with, and whether
    the processes divide the weights."""

    devices: int
    arguments: Sequence[str]
    sharded: bool = False


def tune_on_devices(session: Session, version: str, several: Several) -> int:
    """Fine-tune on several devices of this machine; return the exit code of the processes.

    Raises:
        ConfigError: the algorithm or method is not one that can be divided.
        InputError: there are fewer devices.
        RankLost: a process died; the run is left interrupted, to be gone on with.
    """
    config = session.project.tune
    require(config, several.sharded)
    require_devices(several.devices)
    ledger.get_version(session.workspace, version)
    with _none_left_running(session.workspace):
        return launch(several.arguments, several.devices)


@contextmanager
def _none_left_running(ws: Workspace) -> Iterator[None]:
    """However the processes end: a run that none of them holds any more is interrupted."""
    try:
        yield
    finally:
        for run in ledger.list_runs(ws):
            if run.state == "running" and _is_free(ws, run.id):
                ledger.finish_run(ws, run.id, "interrupted", None, run.summary)


def _is_free(ws: Workspace, run_id: str) -> bool:
    """Say whether a run was trained here, and nobody does so now."""
    path = ws.work_dir / FOLDER / run_id / "lock"
    if not path.exists():
        return False
    with path.open("a+") as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
