"""Processes: who holds a job, and whether that process still lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds a job.

    ``machine`` tells apart boots and containers that share a host name; ``started`` tells apart
    processes that were given the same ``pid`` (clock ticks since boot, 0 where unknown);
    ``token`` is of one hold.
    """

    host: str
    pid: int
    started: int
    machine: str
    token: str

    @classmethod
    def me(cls, token: str) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(platform.node(), pid, _start_time(pid) or 0, machine_id(), token)

    @property
    def is_local(self) -> bool:
        """Whether its life can be seen from here."""
        return self.machine == machine_id()

    def is_alive(self) -> bool:
        """Whether the process is there; only meaningful when it is local."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        now = _start_time(self.pid)
        if now is None:  # a zombie, or a system without /proc
            return not Path("/proc/self/stat").exists()
        return not self.started or now == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@cache
def machine_id() -> str:
    """Name this boot of this machine, as seen from this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{platform.node()}/{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _start_time(pid: int) -> int | None:
    """Start of a living process in clock ticks since boot; field 22 of ``man 5 proc`` stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
