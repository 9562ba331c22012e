"""The processes of one tune: who leads, and what they say to each other.

Every process runs the same verb on its own device and comes to the same weights; only the first
(rank 0) writes to the store. Processes are started by ``torchrun`` (see ``launch``), which tells
each its place in the environment; ``joined`` reads that, connects, and hides it again, so that no
library under the trainer sets up a second way of sharing the work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from metier.core.errors import UserError

PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
PATIENCE = timedelta(hours=6)
"""How long the others wait while the leader measures a validation split or saves."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


class RankLost(UserError):
    """Another process of this tune is gone; what was saved can be gone on from."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: tells those that were left from the one that died
    http_status = 503


@dataclass(frozen=True, slots=True)
class World:
    """One process's place among those of a tune. ``sharded``: each holds a part of the weights."""

    rank: int = 0
    size: int = 1
    sharded: bool = False

    @property
    def leads(self) -> bool:
        """Whether this process writes what there is to write."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, by rank."""
        if self.size == 1:
            return [value]
        from torch import distributed

        found: list[Any] = [None] * self.size
        with connected():
            distributed.all_gather_object(found, value)
        return found

    def told(self, value: Any) -> Any:
        """Return the leader's value, to all; the others' is not looked at."""
        if self.size == 1:
            return value
        from torch import distributed

        box = [value if self.leads else None]
        with connected():
            distributed.broadcast_object_list(box, src=0)
        return box[0]


ALONE = World()


def is_launched(environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether torchrun started this process as one of several."""
    return "RANK" in environ and int(environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(sharded: bool = False) -> Iterator[World]:
    """Connect to the other processes that torchrun started; alone where it did not.

    On a machine with GPUs the process sees only its own, as its first: nothing else in it needs to
    know that there are more. NCCL between GPUs, gloo between processors.
    """
    if not is_launched():
        yield ALONE
        return
    _see_own_device(int(os.environ.get("LOCAL_RANK", "0")))
    import torch
    from torch import distributed

    with connected():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE
        )
    world = World(distributed.get_rank(), distributed.get_world_size(), sharded)
    hidden = {name: os.environ.pop(name) for name in PLACE if name in os.environ}
    try:
        yield world
    finally:
        os.environ.update(hidden)
        distributed.destroy_process_group()


def _see_own_device(place: int) -> None:
    seen = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    if not seen:
        os.environ[VISIBLE] = str(place)
    elif place < len(seen):
        os.environ[VISIBLE] = seen[place]


@contextmanager
def connected() -> Iterator[None]:
    """Turn a connection that broke into RankLost."""
    try:
        yield
    except RuntimeError as error:
        raise _lost(error) from error


@contextmanager
def watched(world: World) -> Iterator[None]:
    """The same for a whole tune, in which FSDP2 talks where nobody asked it to: only of errors
    that are those of a connection."""
    try:
        yield
    except RuntimeError as error:
        if world.size > 1 and _is_of_connection(error):
            raise _lost(error) from error
        raise


def _is_of_connection(error: RuntimeError) -> bool:
    from torch.distributed import DistError

    # gloo has no class of its own, but names its source file.
    return isinstance(error, DistError) or "gloo/transport" in str(error)


def _lost(error: RuntimeError) -> RankLost:
    return RankLost(
        "every process of this tune to be there",
        got=(str(error).strip() or type(error).__name__).splitlines()[0],
        remedy="run `metier tune` again: it goes on from the last checkpoint, with as many "
        "devices as you give it",
    )
