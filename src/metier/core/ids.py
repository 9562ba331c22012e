"""Ids: a kind prefix and a UUIDv7 in hex, so that they sort by the time they were made.

run_0198f3c2a51b7c43a1e0d2f5b6a79c10
"""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Return a new id, greater than every id this process made before.

    Layout: RFC 9562, section 5.7: 48 bits of milliseconds, then a 12-bit fraction of the
    millisecond (method 3 of section 6.2), then 62 random bits.
    """
    return f"{prefix}_{_uuid7():032x}"


def _uuid7() -> int:
    global _last
    with _lock:
        ticks = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = ticks
    milliseconds, fraction = divmod(ticks, 4096)
    random_bits = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random_bits
