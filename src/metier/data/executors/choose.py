"""The executors by name, as in ``[data] executor``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metier.data.executors.local import LocalExecutor
from metier.data.executors.ray import RayExecutor
from metier.data.executors.work import Executor

EXECUTORS: Mapping[str, Callable[[int], Executor]] = {"local": LocalExecutor, "ray": RayExecutor}


def make_executor(name: str, workers: int = 0) -> Executor:
    """Make an executor with that many processes; 0: one per core."""
    return EXECUTORS[name](workers)
