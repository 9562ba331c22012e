"""Local executor: in this process, until it is clear that a process pool pays for its start.

The pool holds a bounded number of batches, however slow this process is at taking them back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import thread_time
from typing import Any

from metier.core.errors import boundary
from metier.core.steps import Outcome
from metier.data.executors.work import Batch, Batches, Done, Work, core_count

# A pool costs about a second: fresh interpreters that import the step's libraries.
POOL_PAYS_FROM_S = 4.0
TRIAL_S = 0.4
AHEAD = 4
"""Batches in the pool for each worker: enough that none waits for this process."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class LocalExecutor:
    """Runs steps on the cores of this machine; ``workers`` 0: all of them."""

    def __init__(self, workers: int = 0, pool_pays_from_s: float = POOL_PAYS_FROM_S) -> None:
        self._workers = workers or core_count()
        self._pays_from_s = pool_pays_from_s

    def run(self, work: Work, batches: Batches) -> Iterator[Done]:
        """Yield every batch with its outcomes, in order; hand the rest to a pool when that pays."""
        rest, count = iter(batches), len(batches)
        began = thread_time()  # of this thread: a busy machine is no reason for more processes
        waited = 0.0
        for number, batch in enumerate(rest, start=1):
            outcomes = work.apply(batch)
            spent = thread_time() - began - waited
            paused = thread_time()
            yield batch, outcomes
            waited += thread_time() - paused  # what is done with the outcomes stays here
            left_s = spent / number * (count - number)
            tried = spent >= min(TRIAL_S, self._pays_from_s)
            if self._workers > 1 and tried and left_s >= self._pays_from_s and number < count:
                yield from self._in_pool(work, rest)
                return

    def close(self) -> None:
        """Do nothing: a pool lives for one step."""

    def _in_pool(self, work: Work, batches: Iterator[Batch]) -> Iterator[Done]:
        # joblib's loky starts fresh interpreters and does not import __main__ again: it neither
        # forks the threads of torch or of a database, nor needs a __main__ guard in the user's
        # script. The work goes over once, not with every batch: a state may be large.
        from joblib.externals.loky import ProcessPoolExecutor

        with (
            boundary(f"step {work.step.name}"),
            ProcessPoolExecutor(
                self._workers, initializer=_take, initargs=(work,), env=ONE_THREAD
            ) as pool,
        ):
            yield from _in_order(pool, batches, AHEAD * self._workers)


def _in_order(pool: Any, batches: Iterator[Batch], ahead: int) -> Iterator[Done]:
    waiting: deque[tuple[Batch, Any]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(_apply, batch)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


_work: Work | None = None  # of this worker process


def _take(work: Work) -> None:
    global _work
    _work = work


def _apply(batch: Batch) -> list[Outcome]:
    assert _work is not None
    return _work.apply(batch)
