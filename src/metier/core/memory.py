"""What memory a process holds, and the most it has held. Linux; torch-free.

Resident bytes count weights read by memory map too, which is what a system under pressure counts.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
CGROUP_USED = (
    Path("/sys/fs/cgroup/memory.current"),
    Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def resident_bytes() -> int:
    """Resident memory of this process now, in bytes; 0 where the system does not say."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most resident memory since the start, or since ``reset_peak``, in bytes."""
    return _status("VmHWM")


def reset_peak() -> bool:
    """Let ``peak_bytes`` count from now; False where the system does not allow it.

    Source: proc(5), /proc/pid/clear_refs, value 5 (Linux 4.0).
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False


def total_bytes() -> int:
    """What this process may hold at most: the machine's memory, or its container's limit."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _number(CGROUP_LIMITS)
    return machine if limit is None else min(machine, limit)


def available_bytes() -> int:
    """What is left of it: free or freeable now, in bytes."""
    free = total_bytes()
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text("ascii"))
        free = min(free, int(found.group(1)) * 1024) if found else free
    limit, used = _number(CGROUP_LIMITS), _number(CGROUP_USED)
    return free if limit is None or used is None else max(0, min(free, limit - used))


def _status(key: str) -> int:
    with suppress(OSError):
        found = re.search(rf"{key}:\s+(\d+)", STATUS.read_text(encoding="ascii"))
        return int(found.group(1)) * 1024 if found else 0
    return 0


def _number(paths: tuple[Path, ...]) -> int | None:
    for path in paths:
        with suppress(OSError, ValueError):
            return int(path.read_text(encoding="ascii"))
    return None
