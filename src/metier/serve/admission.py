"""Admission: how many requests may be on their way, and whether any are taken at all."""

from __future__ import annotations

import math
import threading
import time
from collections import deque

from metier.core.errors import Draining, Overloaded

MOST_RETRY_S = 60
_RECENT = 64


class Admission:
    """Counts requests on their way. Safe to use from many threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._ended: deque[float] = deque(maxlen=_RECENT)
        self.inside = 0
        self.draining = False

    def enter(self) -> None:
        """Admit one request. Raises Draining, or Overloaded when too many are on their way."""
        with self._lock:
            if self.draining:
                raise stopping()
            if self.inside >= self._most:
                wait = self._retry_after()
                raise Overloaded(
                    f"at most {self._most} waiting requests",
                    got="one more",
                    remedy=f"try again in {wait} s",
                    retry_after_s=wait,
                )
            self.inside += 1

    def leave(self) -> None:
        """Note that one admitted request has ended."""
        with self._lock:
            self.inside -= 1
            self._ended.append(time.monotonic())

    def _retry_after(self) -> int:
        """Seconds in which half of those inside will have ended, at the rate of late; 1 to 60."""
        if len(self._ended) < 2:
            return 1
        per_second = (len(self._ended) - 1) / max(time.monotonic() - self._ended[0], 1e-3)
        return min(MOST_RETRY_S, max(1, math.ceil(self.inside / 2 / per_second)))


def stopping() -> Draining:
    """The error for requests that come or wait while the server stops."""
    return Draining(
        "a server that takes requests",
        got="one that is about to stop",
        remedy="send the request again in some seconds",
    )
