"""One forward pass: from a few encoded examples to tensors, and to the loss of supervised tokens.

Three ways to lay examples out, fastest first (``parity`` finds the fastest that is right):

* ``segments``: one row, positions restart, attention computed example by example;
* ``blocks``: one row, positions restart, transformers' own block-diagonal causal mask;
* ``padded``: one row per example, filled up to the longest.

Only hidden states at supervised positions reach the language model head: of a prompt's tokens no
logits are ever made.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from metier.tune.packing.attention import NAME, layout
from metier.tune.types import Encoded, PassMode

IGNORED = -100


@dataclass(frozen=True)
class Pass:
    """Inputs of one forward pass.

    ``positions`` [K] are the places along the row whose logits are wanted; ``targets`` [rows, K]
    the next token at each (IGNORED where that token is not supervised); ``weights`` [rows, K] how
    much each counts (0 where ignored); ``owners`` [rows, K] the number, within the pass, of the
    example the place belongs to.
    """

    inputs: dict[str, Any]
    positions: Tensor
    targets: Tensor
    weights: Tensor
    owners: Tensor
    example_ids: tuple[str, ...]
    tokens: int


def lay_out(examples: Sequence[Encoded], mode: PassMode, pad_id: int = 0) -> Pass:
    """Lay examples out as one forward pass. The last token of each is predicted, never read."""
    rows = [torch.tensor(example.input_ids) for example in examples]
    wanted = [
        torch.where(torch.tensor(example.supervised), row, IGNORED)[1:]
        for example, row in zip(examples, rows, strict=True)
    ]
    counted = [_weights(example) for example in examples]
    read = [row[:-1] for row in rows]
    ids = tuple(example.example_id for example in examples)
    if mode == "padded":
        return _padded(read, wanted, counted, ids, pad_id)
    lengths = [len(row) for row in read]
    targets = torch.cat(wanted)
    positions = (targets != IGNORED).nonzero().squeeze(1)
    owners = torch.repeat_interleave(torch.arange(len(read)), torch.tensor(lengths))
    inputs: dict[str, Any] = {
        "input_ids": torch.cat(read)[None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
    }
    if mode == "segments":
        inputs["blocks"] = layout(lengths)
    weights = torch.cat(counted)[positions][None]
    wanted_there, owned = targets[positions][None], owners[positions][None]
    return Pass(inputs, positions, wanted_there, weights, owned, ids, sum(lengths))


def _weights(example: Encoded) -> Tensor:
    """Weights of the predicted tokens [tokens]; 0 where not supervised."""
    supervised = torch.tensor(example.supervised, dtype=torch.float32)
    if example.weights is not None:
        supervised *= torch.tensor(example.weights)
    return supervised[1:]


def _padded(
    read: Sequence[Tensor],
    wanted: Sequence[Tensor],
    counted: Sequence[Tensor],
    ids: tuple[str, ...],
    pad_id: int,
) -> Pass:
    pad = torch.nn.utils.rnn.pad_sequence
    targets = pad(list(wanted), batch_first=True, padding_value=IGNORED)
    real = pad([torch.ones_like(row) for row in read], batch_first=True)
    positions = (targets != IGNORED).any(0).nonzero().squeeze(1)
    inputs = {
        "input_ids": pad(list(read), batch_first=True, padding_value=pad_id),
        "attention_mask": real,
    }
    targets = targets[:, positions]
    weights = pad(list(counted), batch_first=True)[:, positions]
    owners = torch.arange(len(read))[:, None].expand_as(targets)
    return Pass(inputs, positions, targets, weights, owners, ids, int(real.sum()))


def to_device(one: Pass, device: torch.device | str) -> Pass:
    """Return the pass with its tensors on ``device``."""

    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device, non_blocking=True)
        return tuple(move(item) for item in value) if isinstance(value, tuple) else value

    inputs = {name: move(value) for name, value in one.inputs.items()}
    return replace(
        one,
        inputs=inputs,
        positions=move(one.positions),
        targets=move(one.targets),
        weights=move(one.weights),
        owners=move(one.owners),
    )


def logits(model: Any, one: Pass) -> Tensor:
    """Run the model; returns logits [rows, K, vocabulary] at the pass's positions."""
    # A cache would make transformers treat the row as one text: the examples would see each other.
    inputs = {**one.inputs, "use_cache": False}
    if takes(model, "logits_to_keep"):
        out: Tensor = model(**inputs, logits_to_keep=one.positions).logits
        return out
    every: Tensor = model(**inputs).logits
    return every[:, one.positions]


def token_losses(model: Any, one: Pass) -> tuple[Tensor, Tensor]:
    """Return negative log-likelihoods in nats [rows, K], 0 where ignored, and logits' argmax."""
    scores = logits(model, one)
    losses = cross_entropy(
        scores.flatten(0, 1).float(), one.targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view_as(one.targets), scores.detach().argmax(-1)


def finite(one: Pass, losses: Tensor) -> list[bool]:
    """Say of each example of the pass whether all its losses [rows, K] are finite numbers."""
    bad = set(one.owners[~torch.isfinite(losses.detach())].tolist())
    return [owner not in bad for owner in range(len(one.example_ids))]


def takes(model: Any, argument: str) -> bool:
    """Say whether the model's forward, under any adapter, knows the argument by name."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return argument in inspect.signature(type(inner).forward).parameters


def use(model: Any, mode: PassMode, usual: str) -> None:
    """Set the model's attention for ``mode``; ``usual`` names the implementation it came with."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.set_attn_implementation(NAME if mode == "segments" else usual)
