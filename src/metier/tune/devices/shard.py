"""FSDP2: each process holds a part of every weight, and its gradients and optimiser state.

The whole of a decoder layer is put together only while that layer computes (Zhao et al. 2023,
arXiv 2304.11277; ``torch.distributed.fsdp.fully_shard``), forward and again on the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn import Parameter

from metier.tune.devices.parts import local, whole
from metier.tune.devices.world import World


def shard(model: Any, world: World) -> None:
    """Divide the model's weights among the processes, in place: by decoder layer, then the rest.

    Gradients of the processes are added up, not averaged: each divides its loss by the weight of
    the whole step. All processes must run the same number of passes.
    """
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (world.size,))
    for layer in decoder_layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)  # also where no backward follows
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sum


def decoder_layers(model: Any) -> Iterator[Any]:
    """The modules that transformers says must stay whole: a model's decoder layers."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = frozenset(inner._no_split_modules or ())
    return (module for module in inner.modules() if type(module).__name__ in names)


def held(model: Any) -> int:
    """Count the weights that this process holds."""
    return sum(local(parameter).numel() for parameter in model.parameters())


@torch.no_grad()
def put_together(model: Any, keep: bool) -> None:
    """Make the trained weights whole in the model, on the CPU; every process must call it.

    ``keep`` False takes part and leaves the model as it is. What is frozen stays divided.
    """
    made: dict[int, Parameter] = {}
    for module in list(model.modules()):
        for name, held in list(module.named_parameters(recurse=False)):
            if not held.requires_grad:
                continue
            if id(held) not in made:
                value = whole(held)
                made[id(held)] = Parameter(value.cpu()) if keep else held
            if keep:
                setattr(module, name, made[id(held)])


def give_up(model: Any) -> None:
    """Let go of a model's weights: what was copied or divided from it holds its own."""
    for weight in model.parameters():
        weight.data = weight.data.new_empty(0)
