"""Ray executor: the batches of a step as blocks of Ray Data, on a Ray that lives for one build.

Ray is started on this machine alone: bound to loopback, behind a token, without dashboard and
usage reports, its folder removed when the build ends. Rows go over in windows, so that Ray never
holds more than one, and never writes one to disk.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from metier.core.errors import ConfigError, EgressRefused, MetierError, boundary
from metier.data.executors.work import Batch, Batches, Done, Work, core_count

WINDOW_BATCHES = 256
WINDOW_BYTES = 64 << 20
"""A window ends with the batch that reaches either; starting one costs Ray Data about a second."""
BLOCKS = 4
"""Blocks of a window for each worker."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: listen on loopback only
    "RAY_AUTH_MODE": "token",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
# What workers get of a window, and send back.
AT, ROWS, FAILED = "at", "rows", "failed"


class RayExecutor:
    """Runs steps on Ray Data with ``workers`` processes; 0: one per core."""

    def __init__(self, workers: int = 0) -> None:
        self._workers = workers or core_count()
        self._folder: str | None = None
        self._ray: Any = None

    def run(self, work: Work, batches: Batches) -> Iterator[Done]:
        """Yield every batch with its outcomes, in order."""
        ray = self._start()
        held = ray.put(work)
        for window in _windows(batches):
            yield from self._window(held, window)

    def close(self) -> None:
        """Stop the Ray that was started here and remove its folder."""
        if self._folder is not None:
            self._ray.shutdown()
            shutil.rmtree(self._folder, ignore_errors=True)
        self._ray = self._folder = None

    def _start(self) -> Any:
        if self._ray is not None:
            return self._ray
        ray = _import_ray()
        if ray.is_initialized():
            _refuse_other_machines(ray)
        else:
            self._folder = tempfile.mkdtemp(prefix="metier-ray-")
            ray.init(
                address="local",
                num_cpus=self._workers,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
                _temp_dir=self._folder,
            )
        self._ray = ray
        return ray

    def _window(self, held: Any, window: list[tuple[Batch, bytes]]) -> Iterator[Done]:
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        items = [{AT: at, ROWS: packed} for at, (_, packed) in enumerate(window)]
        blocks = min(len(items), BLOCKS * self._workers)
        sent = ray.data.from_items(items, override_num_blocks=blocks)
        results = {row[AT]: row for row in sent.map(_apply, fn_kwargs={"held": [held]}).iter_rows()}
        for at, (batch, _) in enumerate(window):
            result = pickle.loads(results[at][ROWS])
            if results[at][FAILED]:
                raise result
            yield batch, result


def _windows(batches: Batches) -> Iterator[list[tuple[Batch, bytes]]]:
    window: list[tuple[Batch, bytes]] = []
    size = 0
    for batch in batches:
        packed = pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
        window.append((batch, packed))
        size += len(packed)
        if len(window) == WINDOW_BATCHES or size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


_held: dict[str, Work] = {}  # of this worker process: the work it has last


def _apply(row: Mapping[str, Any], held: list[Any]) -> dict[str, Any]:
    import ray

    # Whatever goes wrong is handed back: Ray Data would try it again, for ever, and wrap the error.
    try:
        with boundary("a worker of Ray"):
            key = held[0].hex()
            if key not in _held:
                _held.clear()
                _held[key] = ray.get(held[0])
            found: Any = _held[key].apply(pickle.loads(row[ROWS]))
            packed = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
    except MetierError as error:
        return {AT: row[AT], ROWS: pickle.dumps(error, pickle.HIGHEST_PROTOCOL), FAILED: True}
    return {AT: row[AT], ROWS: packed, FAILED: False}


def _import_ray() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(
            'Ray for [data] executor = "ray"',
            got=f"{error}",
            remedy="pip install 'metier[ray]', or set executor = \"local\"; both give the same",
        ) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _refuse_other_machines(ray: Any) -> None:
    """Raise when the Ray that is running here reaches beyond this machine."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) > 1:
        raise EgressRefused(
            "a Ray of this machine alone: rows are sent before they are de-identified",
            got=f"a Ray with {len(nodes)} machines",
            remedy="call ray.shutdown() first; metier then starts its own",
        )
