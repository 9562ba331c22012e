"""The work of one step: batches go in, their outcomes come out in the same order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from metier.core.errors import boundary
from metier.core.steps import Outcome, Step
from metier.core.types import Example, Json

Batch = Sequence[Example]
Done = tuple[Batch, list[Outcome]]
"""A batch and what became of it."""


@dataclass(frozen=True, slots=True)
class Work:
    """A step with what it learned of the whole; must survive pickling."""

    step: Step
    state: Json

    def apply(self, batch: Batch) -> list[Outcome]:
        """Apply the step to one batch; whatever escapes is named after the step."""
        with boundary(f"step {self.step.name}"):
            return list(self.step.apply(batch, self.state))


@dataclass(frozen=True, slots=True)
class Batches:
    """Rows cut into batches, each made when it is asked for."""

    rows: Sequence[Example]
    size: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        batch: list[Example] = []
        for row in self.rows:
            batch.append(row)
            if len(batch) == self.size:
                yield batch
                batch = []
        if batch:
            yield batch


class Executor(Protocol):
    """Runs work. It may hold processes from one step to the next; ``close`` ends them."""

    def run(self, work: Work, batches: Batches) -> Iterator[Done]:
        """Yield every batch with its outcomes, in order, holding only a few at a time."""
        ...

    def close(self) -> None:
        """Give back what was started."""
        ...


def core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
