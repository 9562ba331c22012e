"""Two LoRAs as one: rank upon rank, exact whatever their ranks, scales and layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

A, B = ".lora_A.weight", ".lora_B.weight"
PREFIX = "base_model.model."


def stacked(model: Any, first: str, second: str) -> dict[str, Tensor]:
    """Return the weights, under PEFT's names, of the LoRA that does what both do at once.

    Per layer A = [A1; A2] of shape [r1 + r2, inputs] and B = [s1 B1, s2 B2] of shape
    [outputs, r1 + r2]; where one has no such layer its part is zero. Its own scale is 1.
    """
    found: dict[str, Tensor] = {}
    ranks = [model.peft_config[name].r for name in (first, second)]
    for path, layer in _layers(model):
        sides = [_side(layer, name) for name in (first, second)]
        known = next(side for side in sides if side is not None)
        parts = [
            side
            or (
                known[0].new_zeros(rank, known[0].shape[1]),
                known[1].new_zeros(known[1].shape[0], rank),
            )
            for side, rank in zip(sides, ranks, strict=True)
        ]
        found[PREFIX + path + A] = torch.cat([part[0] for part in parts]).contiguous()
        found[PREFIX + path + B] = torch.cat([part[1] for part in parts], dim=1).contiguous()
    return found


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    for path, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer):
            yield path, module


def _side(layer: Any, name: str) -> tuple[Tensor, Tensor] | None:
    """Return A and s B of one adapter in a layer."""
    if name not in layer.lora_A:
        return None
    a, b = layer.lora_A[name].weight.detach(), layer.lora_B[name].weight.detach()
    return a, b * layer.scaling[name]
