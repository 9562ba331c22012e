"""Start one process per device on this machine, and say which one died.

The processes are started and watched by PyTorch's own agent, the one under ``torchrun``: when one
ends badly it stops the others.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from metier.core.errors import InputError
from metier.tune.devices.world import RankLost

THREADS = "OMP_NUM_THREADS"
TOLD = 2
"""Exit code of a process that has told its error itself."""


def require_devices(devices: int) -> None:
    """Raise InputError when the machine has fewer GPUs, or, without any, fewer processor cores."""
    import torch

    gpus, cores = torch.cuda.device_count(), os.cpu_count() or 1
    there, kind = (gpus, "GPUs") if gpus else (cores, "processor cores (no GPU is seen)")
    if devices > there:
        raise InputError(
            f"at most {there} devices: this machine has {there} {kind}",
            got=f"--devices {devices}",
            remedy=f"give --devices {there} or fewer; several machines: docs/tune/devices.md",
        )


def launch(arguments: Sequence[str], devices: int) -> int:
    """Run ``metier`` with ``arguments`` in one process per device; return the exit code: 0, or
    that of a user's error which a process has told.

    Raises RankLost when a process died otherwise, naming it.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    with tempfile.TemporaryDirectory() as logs, _threads_divided(devices), _interruptible():
        start = elastic_launch(_settings(devices, logs), sys.executable)
        try:
            start("-m", "metier", *arguments)
        except ChildFailedError as error:
            return told_or_lost(error.failures, devices)
    return 0


def _settings(devices: int, logs: str) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # we say it
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        logs_specs=DefaultLogsSpecs(log_dir=logs),
        run_id=f"metier-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )


def told_or_lost(failures: Mapping[int, Any], devices: int) -> int:
    """Of the processes that failed, those apart which only lost the others."""
    codes = {rank: failure.exitcode for rank, failure in failures.items()}
    # Once one process has ended, the agent stops the others with SIGTERM.
    after = (RankLost.exit_code, -signal.SIGTERM)
    first = {rank: code for rank, code in codes.items() if code not in after} or codes
    if TOLD in first.values():
        return TOLD
    rank, code = next(iter(sorted(first.items())))
    raise RankLost(
        f"all {devices} processes to come to the end",
        got=f"process {rank} (of 0 to {devices - 1}) {_how(code)}",
        remedy="run `metier tune` again, with as many devices as you like: the run goes on from "
        "its last checkpoint",
    )


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@contextmanager
def _threads_divided(devices: int) -> Iterator[None]:
    """Let the processes share the cores, unless the user has said how many threads each takes."""
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(max(1, (os.cpu_count() or 1) // devices))
    try:
        yield
    finally:
        del os.environ[THREADS]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the agent's own exception for a signal back into Python's."""
    from torch.distributed.elastic.multiprocessing.api import SignalException

    try:
        yield
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + error.sigval) from None
