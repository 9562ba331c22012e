"""Executors: where the batches of a step are worked on. What comes out is the same everywhere."""

from metier.data.executors.choose import EXECUTORS, make_executor
from metier.data.executors.local import LocalExecutor
from metier.data.executors.work import Batch, Batches, Done, Executor, Work

__all__ = [
    "EXECUTORS",
    "Batch",
    "Batches",
    "Done",
    "Executor",
    "LocalExecutor",
    "Work",
    "make_executor",
]
