"""Checks of the machine, the install and the workspace, each with what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from metier.config import find_project
from metier.core.errors import NotFound, UserError
from metier.journey.session import open_session

GIB = 2**30
DISK_GIB_WANTED = 5
MEMORY_GIB_WANTED = 4


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. ``state`` "bad" stops work, "note" does not."""

    state: Literal["ok", "note", "bad"]
    what: str
    found: str
    remedy: str = ""


def examine(directory: Path) -> list[Finding]:
    """Run every check; none changes anything but a project's first opening of its workspace."""
    return [*_machine(directory), _accelerator(), _kernels(), _tiny_base(), *_project(directory)]


def _machine(directory: Path) -> Iterator[Finding]:
    yield Finding("ok", "Python", platform.python_version())
    stack = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "trl")
    )
    yield Finding("ok", "libraries", stack)
    free = shutil.disk_usage(directory).free / GIB
    low = free < DISK_GIB_WANTED
    yield Finding(
        "note" if low else "ok", "disk", f"{free:.1f} GiB free", "free some space" if low else ""
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    low = memory < MEMORY_GIB_WANTED
    remedy = "close other programs, or use a smaller base" if low else ""
    cores = f"{memory:.1f} GiB, {os.cpu_count()} cores"
    yield Finding("note" if low else "ok", "memory", cores, remedy)


def _accelerator() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("note", "accelerator", "none: tuning runs on the CPU in fp32")
    device = torch.cuda.get_device_properties(0)
    return Finding("ok", "accelerator", f"{device.name}, {device.total_memory / GIB:.0f} GiB")


def _kernels() -> Finding:
    from metier.tune.kernels.choice import choose, this_machine

    return Finding("ok", "training kernels", choose(this_machine()).sentence)


def _tiny_base() -> Finding:
    from metier.models.base import load_base

    try:
        base = load_base("metier/tiny")
    except UserError as error:
        return Finding("bad", "bundled base", str(error), "reinstall metier")
    return Finding("ok", "bundled base", f"metier/tiny, {base.fingerprint[:12]}")


def _project(directory: Path) -> Iterator[Finding]:
    try:
        path = find_project(directory)
    except NotFound:
        yield Finding("note", "project", "none here", "metier init, or metier demo")
        return
    try:
        with open_session(path) as session:
            check = session.workspace.audit.verify()
            yield Finding("ok", "project", f"{session.project.project.name} ({path})")
            broken = f"broken at entry {check.first_bad}"
            yield Finding(
                "ok" if check.ok else "bad",
                "audit log",
                f"{check.count} entries, unbroken" if check.ok else broken,
                "" if check.ok else "keep a copy and ask who changed the database",
            )
    except UserError as error:
        yield Finding("bad", "project", f"expected {error.expected}; got {error.got}", error.remedy)
