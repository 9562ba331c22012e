"""Checkpoints: a folder per step, whole or not there at all.

checkpoint-00000120/
    adapter_model.safetensors …   the weights (a whole model where every weight is trained)
    optimizer.safetensors, optimizer.json, scheduler.json, random.safetensors
    trainer_state.json            step, best so far, history
    manifest.json                 size and hash of every other file, written last

Files go to a temporary folder, are synced, and the folder is renamed last. A process that is
killed, or a disk that runs full, leaves the checkpoints before it as they were. Everything is
safetensors or JSON: nothing is unpickled on the way back.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from metier.core.errors import disk_full

MANIFEST = "manifest.json"
NAME = re.compile(r"checkpoint-(\d{8})")
TEMPORARY = ".checkpoint-"


@dataclass(frozen=True, slots=True)
class Found:
    """The newest whole checkpoint (None: there is none) and why newer ones were passed over."""

    path: Path | None
    passed_over: tuple[str, ...] = ()


def save(root: Path, step: int, fill: Callable[[Path], None]) -> Path:
    """Save what ``fill`` writes into the folder it is given as the checkpoint of ``step``.

    Raises OutOfSpace when the disk is full; earlier checkpoints are kept.
    """
    target = root / f"checkpoint-{step:08d}"
    partial = root / f"{TEMPORARY}{step:08d}.partial"
    with room_on_disk(f"saving the checkpoint of step {step}"):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            fill(partial)
            _write_manifest(partial)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(partial, target)
            _sync(root)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return target


def newest(root: Path) -> Found:
    """Find the newest checkpoint whose files are all there and unchanged."""
    passed_over: list[str] = []
    for path in sorted(_all(root), reverse=True):
        problem = damage(path)
        if problem is None:
            return Found(path, tuple(passed_over))
        passed_over.append(f"{path.name}: {problem}")
    return Found(None, tuple(passed_over))


def damage(path: Path) -> str | None:
    """Say what is wrong with a checkpoint, or None."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "has no manifest"
    except ValueError:
        return "its manifest cannot be read"
    for name, (size, digest) in manifest.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size or _hash(file) != digest:
            return f"{name} has changed since it was written"
    return None


def prune(root: Path, keep: int, best_step: int | None) -> None:
    """Delete all but the ``keep`` newest checkpoints and the best one."""
    for path in sorted(_all(root))[:-keep]:
        if step_of(path) != best_step:
            shutil.rmtree(path, ignore_errors=True)


def at_step(root: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return root / f"checkpoint-{step:08d}"


def step_of(path: Path) -> int:
    """Return the optimiser step of a checkpoint folder."""
    named = NAME.fullmatch(path.name)
    return int(named.group(1)) if named else -1


@contextmanager
def room_on_disk(doing: str) -> Iterator[None]:
    """Turn a full disk into OutOfSpace, also where safetensors wraps it in an error of its own."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(doing) from error
        raise
    except SafetensorError as error:
        if f"os error {errno.ENOSPC}" in str(error) or "No space left" in str(error):
            raise disk_full(doing) from error
        raise


def _all(root: Path) -> list[Path]:
    return [path for path in root.glob("checkpoint-*") if NAME.fullmatch(path.name)]


def _write_manifest(folder: Path) -> None:
    manifest: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            manifest[str(file.relative_to(folder))] = [file.stat().st_size, _hash(file)]
            _sync(file)
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    _sync(path)
    _sync(folder)


def _hash(path: Path) -> str:
    state = blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
