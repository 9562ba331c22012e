"""Attention over a packed row, example by example: no token ever meets another example.

A packed row holds examples one after another, ``N`` tokens in all. A block-diagonal mask keeps
them apart but still computes all N x N scores. Here each example attends only within itself. A
long one is cut out of the row as it lies, nothing copied; short ones of similar length are stacked
into a [examples, longest] block, where what is filled up behind an example cannot be seen by its
real tokens. Both go through PyTorch's causal kernel. The cost falls from N² to about the sum of
the squared lengths.

Registered with transformers under ``NAME``; a model's forward hands the block layout down to its
attention layers as the keyword argument ``blocks``. A model that does not pass it on, or whose
attention takes something not known here, raises ``CannotSegment``: metier then uses the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from metier.tune.kernels.choice import Attention
from metier.tune.kernels.packed import attend

NAME = "metier_segments"
# A block takes examples down to this share of its longest.
SIMILAR = 0.75
# Examples of so many tokens are not stacked: a kernel of their own costs less than the copies.
ALONE = 64
# Keyword arguments that change the scores in ways the plain kernel does not know.
UNKNOWN_TERMS = ("softcap", "s_aux", "position_bias", "head_mask", "sinks")

Span = tuple[int, int]
"""An example by itself: where along the row it begins, and behind it ends."""
Stack = tuple[Tensor, Tensor]
"""Row positions [examples, longest] (filled up with 0), and which of them are real, flat."""
Block = Span | Stack
Blocks = tuple[tuple[Block, ...], Tensor | None]
"""The blocks of a row and, for each row position, its place in the blocks' real outputs (None:
they come in the row's order)."""


_kernel: Attention = "sdpa"


def use_kernel(kind: Attention) -> None:
    """Compute rows by this kernel from now on, in this process."""
    global _kernel
    _kernel = kind


class CannotSegment(Exception):
    """This model's attention cannot be computed example by example."""


def layout(lengths: Sequence[int]) -> Blocks:
    """Lay out a packed row of examples with the given lengths, in row order."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    if _kernel != "sdpa":
        return tuple(pairwise(starts)), None
    by_length = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    blocks: list[Block] = []
    order: list[Tensor] = []
    while by_length:
        first = by_length[0]
        longest = lengths[first]
        group = [at for at in by_length if lengths[at] >= SIMILAR * longest]
        if longest >= ALONE or len(group) == 1:
            del by_length[0]
            blocks.append((starts[first], starts[first + 1]))
            order.append(torch.arange(starts[first], starts[first + 1]))
        else:
            by_length = by_length[len(group) :]
            rows, real = _stacked([starts[at] for at in group], [lengths[at] for at in group])
            blocks.append((rows, real.flatten().nonzero().squeeze(1)))
            order.append(rows[real])
    places = torch.cat(order).argsort()
    in_order = bool((places == torch.arange(len(places))).all())
    return tuple(blocks), None if in_order else places


def _stacked(starts: Sequence[int], lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Row positions of some examples [examples, longest], and which of them are real."""
    offsets = torch.arange(max(lengths))
    real = offsets < torch.tensor(lengths)[:, None]
    return (torch.tensor(starts)[:, None] + offsets).masked_fill(~real, 0), real


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
    q, k, v = query[0], key[0], value[0]
    lengths = _lengths(blocks) if _kernel != "sdpa" and not dropout else None
    if lengths is not None:
        return attend(_kernel, (q, k, v), lengths, scaling, sliding_window)[None], None
    shared = len(q) // len(k)
    if shared > 1:
        k, v = k.repeat_interleave(shared, 0), v.repeat_interleave(shared, 0)
    outputs = []
    for block in blocks[0]:
        asked = _taken(q, block)
        window = _window(asked, sliding_window)
        part = scaled_dot_product_attention(
            asked,
            _taken(k, block),
            _taken(v, block),
            attn_mask=window,
            dropout_p=dropout,
            is_causal=window is None,
            scale=scaling,
        )
        outputs.append(_real(part.transpose(1, 2).flatten(0, 1), block))
    out = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    return (out if blocks[1] is None else out.index_select(0, blocks[1]))[None], None


def _lengths(blocks: Blocks) -> tuple[int, ...] | None:
    """Return the examples' lengths where they lie in the row one after another."""
    if blocks[1] is not None:
        return None
    spans = [block for block in blocks[0] if isinstance(block[0], int)]
    if len(spans) != len(blocks[0]):
        return None
    return tuple(int(end) - int(begin) for begin, end in spans)


def _taken(states: Tensor, block: Block) -> Tensor:
    """Take [heads, N, width] to [examples, heads, longest, width]."""
    rows = block[0]
    if isinstance(rows, int):
        return states[None, :, rows : block[1]]
    taken = states.index_select(1, rows.flatten())
    return taken.view(len(states), *rows.shape, -1).transpose(0, 1)


def _real(outputs: Tensor, block: Block) -> Tensor:
    """Leave out what was filled up: [examples · longest, heads, width] to the real ones."""
    real = block[1]
    return outputs if isinstance(real, int) else outputs.index_select(0, real)


def _window(query: Tensor, sliding_window: int | None) -> Tensor | None:
    longest = query.shape[-2]
    if sliding_window is None or longest <= sliding_window:
        return None
    back = torch.arange(longest, device=query.device)
    distance = back[:, None] - back[None, :]
    return (distance >= 0) & (distance < sliding_window)


def register() -> None:
    """Make ``segment_attention`` known to transformers; no mask is built for it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, segment_attention)
