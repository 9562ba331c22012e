"""Watched rows: a sequence that tells a progress bar how far reading it has come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from metier.core.progress import TaskProgress
from metier.data.spool import Rows

T = TypeVar("T")
STRIDE = 512
"""Rows between two events: one event per row would cost more than reading it."""


class Watched(Rows[T]):
    """Rows whose first ``readings`` readings are told to ``task``."""

    def __init__(self, rows: Sequence[T], task: TaskProgress, readings: int = 1) -> None:
        self._rows, self._task, self._readings = rows, task, readings

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        if self._readings == 0:
            yield from self._rows
            return
        self._readings -= 1
        number = 0
        for number, row in enumerate(self._rows, start=1):
            yield row
            if number % STRIDE == 0:
                self._task.advance(STRIDE)
        self._task.advance(number % STRIDE)

    def _at(self, place: int) -> T:
        return self._rows[place]
