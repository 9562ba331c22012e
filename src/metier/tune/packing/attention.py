"""Attention over a packed row, example by example: no token ever meets another example.

A packed row holds examples one after another, ``N`` tokens in all. A block-diagonal mask keeps
them apart but still computes all N x N scores. Here each example attends only within itself:
examples of similar length are stacked into a [examples, longest] block and go through PyTorch's
causal kernel, where what is filled up behind an example cannot be seen by its real tokens. The
cost falls from N² to about the sum of the squared lengths.

Registered with transformers under ``NAME``; a model's forward hands the block layout down to its
attention layers as the keyword argument ``blocks``. A model that does not pass it on, or whose
attention takes something not known here, raises ``CannotSegment``: metier then uses the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

NAME = "metier_segments"
# A block takes examples down to this share of its longest.
SIMILAR = 0.75
# Keyword arguments that change the scores in ways the plain kernel does not know.
UNKNOWN_TERMS = ("softcap", "s_aux", "position_bias", "head_mask", "sinks")

Block = tuple[Tensor, Tensor]
"""Row positions [examples, longest] (filled up with 0), and which of them are real, flat."""
Blocks = tuple[tuple[Block, ...], Tensor]
"""The blocks of a row and, for each row position, its place in the blocks' real outputs."""


class CannotSegment(Exception):
    """This model's attention cannot be computed example by example."""


def layout(lengths: Sequence[int]) -> Blocks:
    """Lay out a packed row of examples with the given lengths, in row order."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    by_length = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    blocks: list[Block] = []
    order: list[Tensor] = []
    while by_length:
        longest = lengths[by_length[0]]
        group = [at for at in by_length if lengths[at] >= SIMILAR * longest]
        by_length = by_length[len(group) :]
        offsets = torch.arange(longest)
        begins = torch.tensor([starts[at] for at in group])[:, None]
        real = offsets < torch.tensor([lengths[at] for at in group])[:, None]
        rows = (begins + offsets).masked_fill(~real, 0)
        blocks.append((rows, real.flatten().nonzero().squeeze(1)))
        order.append(rows[real])
    return tuple(blocks), torch.cat(order).argsort()


def segment_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    blocks: Blocks | None = None,
    **terms: Any,
) -> tuple[Tensor, None]:
    """Attend within each example of one packed row.

    ``query`` is [1, heads, N, width], ``key`` and ``value`` [1, key heads, N, width]; returns
    [1, N, heads, width]. Raises CannotSegment as the module describes.
    """
    strange = [name for name in UNKNOWN_TERMS if terms.get(name) is not None]
    if blocks is None or strange or attention_mask is not None or query.shape[0] != 1:
        raise CannotSegment(f"blocks given: {blocks is not None}; unknown terms: {strange}")
    shared = query.shape[1] // key.shape[1]
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    outputs = []
    for rows, real in blocks[0]:
        window = _window(rows, sliding_window)
        part = scaled_dot_product_attention(
            _stack(q, rows),
            _stack(k, rows).repeat_interleave(shared, 1),
            _stack(v, rows).repeat_interleave(shared, 1),
            attn_mask=window,
            dropout_p=dropout,
            is_causal=window is None,
            scale=scaling,
        )
        outputs.append(part.transpose(1, 2).flatten(0, 1).index_select(0, real))
    return torch.cat(outputs).index_select(0, blocks[1])[None], None


def _stack(states: Tensor, rows: Tensor) -> Tensor:
    """Take [N, heads, width] to [examples, heads, longest, width]."""
    taken = states.index_select(0, rows.flatten())
    return taken.view(*rows.shape, *states.shape[1:]).transpose(1, 2)


def _window(rows: Tensor, sliding_window: int | None) -> Tensor | None:
    longest = rows.shape[1]
    if sliding_window is None or longest <= sliding_window:
        return None
    back = torch.arange(longest, device=rows.device)
    distance = back[:, None] - back[None, :]
    return (distance >= 0) & (distance < sliding_window)


def register() -> None:
    """Make ``segment_attention`` known to transformers; no mask is built for it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, segment_attention)
