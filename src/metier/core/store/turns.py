"""Turns: threads that want the one writer's place get it in the order in which they came.

SQLite lets one connection write and makes the others poll, with pauses of up to 0.1 s; whoever
polls at the wrong moments can wait for very long. Threads of one process need not poll.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class TurnTimeout(Exception):
    """The turn did not come in time."""


class Turns:
    """A lock that is passed on in order."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[None]:
        """Hold the place while the block runs. Raises TurnTimeout."""
        self._take(timeout_s)
        try:
            yield
        finally:
            self._pass_on()

    def _take(self, timeout_s: float) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=timeout_s):
            return
        with self._guard:
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise TurnTimeout
        # It was passed on to this thread between the time-out and the removal.

    def _pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
