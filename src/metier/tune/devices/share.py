"""One optimiser step on several devices: its items divided, its loss and gradients added up.

Every process works on its share of the step's items and divides by the weight of *all* of them, so
that losses and gradients of the shares add up to those of one process on the whole step.

Replicas add their gradients by a plain all-reduce once the step's passes are through. PyTorch's
DistributedDataParallel does the same sum while the backward pass still runs (Li et al. 2020,
arXiv 2006.15704), but takes the mean over processes and wants the same number of passes on each;
with an adapter there is little to hide: its gradients are a hundredth of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, distributed

from metier.core.errors import UserError
from metier.tune.algorithms.base import Algorithm, Step
from metier.tune.devices.world import RankLost, World, connected
from metier.tune.packing.plan import Batch

BUCKET_BYTES = 64 << 20
Outcome = tuple[float, Mapping[str, float]]
"""The loss of a share, and the algorithm's own series."""


@dataclass(frozen=True, slots=True)
class _Said:
    """How one process's share went."""

    loss: float
    series: Mapping[str, float]
    problem: UserError | None = None
    trouble: str = ""


def divided(batch: Sequence[int], lengths: Sequence[int], parts: int) -> list[Batch]:
    """Divide items into ``parts`` shares of about equal tokens; some are empty when items are few.

    The longest first, each to the lightest share (Graham 1969): at most 4/3 of the best division.
    """
    shares: list[list[int]] = [[] for _ in range(parts)]
    loads = [0] * parts
    for index in sorted(batch, key=lambda index: (-lengths[index], index)):
        lightest = loads.index(min(loads))
        shares[lightest].append(index)
        loads[lightest] += lengths[index]
    return [tuple(share) for share in shares]


def run_step(
    world: World,
    model: Any,
    algorithm: Algorithm,
    batch: Batch,
    number: int,
    run: Callable[[Step], Outcome],
) -> Outcome:
    """Run optimiser step ``number``; afterwards each process holds the gradients of all of it.

    ``run`` passes a step forward and back. Shards add gradients themselves, pass by pass, and all
    of them run as many passes as the one with most. Returns loss and series of the whole step.
    Every process raises what one of them raised: a UserError as it is, anything else as RankLost
    elsewhere.
    """
    if world.size == 1:
        return run(algorithm.step(model, batch, number))
    if world.rank:  # dropout: other draws than the leader's, the same ones when the step is redone
        torch.manual_seed(number * world.size + world.rank)
    share = divided(batch, algorithm.lengths, world.size)[world.rank]
    step = algorithm.step(model, share, number) if share else Step((), 0.0)
    every = world.gather((step.weight, len(step.passes)))
    step = replace(step, weight=sum(weight for weight, _ in every))
    if world.sharded:
        missing = max(count for _, count in every) - len(step.passes)
        with suppress(UserError):  # where it is not finite, the pass that counts is not either
            run(_idle(model, algorithm, batch, number, missing))
        return _added(world, step, run)
    found = _added(world, step, run)
    add_gradients([p for p in model.parameters() if p.requires_grad])
    return found


def _idle(model: Any, algorithm: Algorithm, batch: Batch, number: int, count: int) -> Step:
    """Return ``count`` passes that change nothing: their losses are divided by infinity.

    With shards no process can pass anything forward or back without the others.
    """
    if not count:
        return Step((), math.inf)
    shortest = min(batch, key=lambda index: algorithm.lengths[index])
    one = algorithm.step(model, (shortest,), number).passes[0]
    return Step((one,) * count, math.inf)


def _added(world: World, step: Step, run: Callable[[Step], Outcome]) -> Outcome:
    error: Exception | None = None
    said = _Said(0.0, {})
    try:
        said = _Said(*run(step))
    except UserError as problem:
        said, error = _Said(0.0, {}, problem=problem), problem
    except Exception as trouble:
        if world.sharded:  # the others wait within a pass, where nothing can be said
            raise
        said, error = _Said(0.0, {}, trouble=type(trouble).__name__), trouble
    every = world.gather(said)
    if error is not None:
        raise error
    for rank, other in enumerate(every):
        if other.problem is not None:
            raise other.problem
        if other.trouble:
            raise RankLost("every process to finish the step", got=f"{other.trouble} in {rank}")
    series: dict[str, float] = {}
    for other in every:
        for name, value in other.series.items():
            series[name] = series.get(name, 0.0) + value
    return sum(other.loss for other in every), series


def add_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its sum over all processes.

    A weight that no process has a gradient of keeps none, so that the optimiser leaves it alone.
    """
    if not parameters:
        return
    there = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
    there = there.to(parameters[0].device)
    with connected():
        distributed.all_reduce(there)
    reached = [p for p, count in zip(parameters, there.tolist(), strict=True) if count]
    for parameter in reached:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for bucket in _buckets([p.grad for p in reached if p.grad is not None]):
        flat = torch.cat([grad.flatten() for grad in bucket])
        with connected():
            distributed.all_reduce(flat)
        parts = torch.split(flat, [grad.numel() for grad in bucket])
        for grad, part in zip(bucket, parts, strict=True):
            grad.copy_(part.view_as(grad))


def _buckets(grads: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of gradients of one type, of at most ``BUCKET_BYTES`` each (or one gradient)."""
    bucket: list[Tensor] = []
    size = 0
    for grad in grads:
        more = grad.numel() * grad.element_size()
        if bucket and (size + more > BUCKET_BYTES or bucket[0].dtype != grad.dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(grad)
        size += more
    if bucket:
        yield bucket
