"""Tensors of which each process holds a part: whole again, and filled from whole ones."""

from __future__ import annotations

from typing import Any

from torch import Tensor, no_grad
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor, of which each process holds a part; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Return what this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def divided_like(value: Tensor, held: Any) -> Tensor:
    """Return a whole tensor divided as ``held`` is; as it is where that is whole, or is of another
    shape. Every process has all of ``value``: nothing is sent."""
    if not isinstance(held, DTensor) or value.shape != held.shape:
        return value
    value = value.to(held.device)
    return distribute_tensor(value, held.device_mesh, held.placements, src_data_rank=None)


@no_grad()
def put(value: Tensor, held: Tensor) -> None:
    """Write a whole tensor into one that may be divided."""
    local(held).copy_(local(divided_like(value, held)))
