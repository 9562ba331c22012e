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

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from metier.core.errors import ConfigError, OutOfSpace, out_of_space

MANIFEST = "manifest.json"
NAME = re.compile(r"checkpoint-(\d{8})")
TEMPORARY = ".checkpoint-"
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """The newest whole checkpoint (None: there is none) and why newer ones were passed over."""

    path: Path | None
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What checkpoints may take: how many of the newest are kept, which is the best, and bytes in
    all with the one being written (None: what the disk has)."""

    keep: int
    best_step: int | None = None
    most_bytes: int | None = None


def save(root: Path, step: int, fill: Callable[[Path], None]) -> Path:
    """Save what ``fill`` writes into the folder it is given as the checkpoint of ``step``.

    Raises OutOfSpace when the disk is full; earlier checkpoints are kept.
    """
    target = root / f"checkpoint-{step:08d}"
    partial = root / f"{TEMPORARY}{step:08d}.partial"
    with out_of_space(f"saving the checkpoint of step {step}"):
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


def prune(root: Path, room: Room) -> None:
    """Delete all but the newest checkpoints, and the best one; more where bytes are limited."""
    for path in sorted(_all(root))[: -room.keep]:
        if step_of(path) != room.best_step:
            shutil.rmtree(path, ignore_errors=True)
    if room.most_bytes is not None:
        _delete_until(root, room, lambda: _total(root) <= (room.most_bytes or 0))


def make_room(root: Path, size: int, room: Room) -> None:
    """Make room for a checkpoint of ``size`` bytes: older ones go, the oldest first.

    The newest whole one and the best always stay. Raises OutOfSpace, before a byte is written,
    when it does not fit beside these.
    """
    if room.most_bytes is not None:
        budget = room.most_bytes
        _delete_until(root, room, lambda: _total(root) + size <= budget)
        if _total(root) + size > budget:
            raise OutOfSpace(
                f"room for a checkpoint of {_gb(size)} within disk_gb = {budget / GB:g}",
                got=f"{_gb(_total(root))} taken by the newest and the best checkpoint",
                remedy=f"set disk_gb = {(_total(root) + size) * 1.1 / GB:.2g} or more in [tune] "
                "and run the same command again: the run goes on from the newest",
            )
    root.mkdir(parents=True, exist_ok=True)
    _delete_until(root, room, lambda: _free(root) >= size)
    if _free(root) < size:
        raise OutOfSpace(
            f"room on the disk for a checkpoint of {_gb(size)}",
            got=f"{_gb(_free(root))} free; older checkpoints are gone already",
            remedy="free some space and run the same command again; what was acknowledged is kept",
        )


def check_budget(size: int, validates: bool, most_bytes: int | None) -> None:
    """Raise ConfigError where a budget can never hold what must be: the newest checkpoint, the one
    being written, and with validation the best one."""
    count = 3 if validates else 2
    if most_bytes is not None and count * size > most_bytes:
        best = ", the best" if validates else ""
        raise ConfigError(
            f"disk_gb in [tune] for {count} checkpoints of {_gb(size)} (the newest{best} and the "
            "one being written)",
            got=f"disk_gb = {most_bytes / GB:g}",
            remedy=f"set disk_gb = {count * size * 1.1 / GB:.2g} or more, or train an adapter",
        )


def _delete_until(root: Path, room: Room, enough: Callable[[], bool]) -> None:
    """Delete checkpoints, the oldest first, never the newest whole one nor the best."""
    if enough():
        return
    newest_whole = newest(root).path
    for path in sorted(_all(root)):
        if enough():
            return
        if path != newest_whole and step_of(path) != room.best_step:
            shutil.rmtree(path, ignore_errors=True)


def _total(root: Path) -> int:
    return sum(
        file.stat().st_size for path in _all(root) for file in path.rglob("*") if file.is_file()
    )


def _free(root: Path) -> int:
    return shutil.disk_usage(root).free


def _gb(size: int) -> str:
    return f"{size / GB:.2g} GB" if size >= GB / 100 else f"{size / 1e6:.2g} MB"


def at_step(root: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return root / f"checkpoint-{step:08d}"


def step_of(path: Path) -> int:
    """Return the optimiser step of a checkpoint folder."""
    named = NAME.fullmatch(path.name)
    return int(named.group(1)) if named else -1


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
