"""The machine a tune runs on: its name for calibration, its device, and what is free there."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from metier.core.memory import available_bytes, total_bytes
from metier.core.types import digest


@dataclass(frozen=True, slots=True)
class Machine:
    """``name`` is for people, ``key`` for what was learned on machines like it; ``device`` is cpu
    or cuda; ``available`` bytes are free now, of the process's memory or of the GPU's."""

    name: str
    key: str
    device: str
    available: int

    def limited(self, available: int) -> Machine:
        """The same machine with another amount of memory: one that is held to less, or planned."""
        return replace(self, available=available)


def this_machine() -> Machine:
    """Look at the machine; imports torch."""
    import torch

    threads = torch.get_num_threads()
    if torch.cuda.is_available():
        seen = torch.cuda.get_device_properties(0)
        free, _ = torch.cuda.mem_get_info()
        name = f"{seen.name}, {seen.total_memory / 2**30:.0f} GiB"
        return Machine(name, digest([name])[:16], "cuda", free)
    memory = total_bytes() / 2**30
    name = f"{_processor()}, {threads} of {os.cpu_count()} cores, {memory:.0f} GiB"
    return Machine(name, digest([name])[:16], "cpu", available_bytes())


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return next(
            line.split(":", 1)[1].strip()
            for line in text.splitlines()
            if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
