"""Attention over a whole packed row in one kernel, for a GPU: varlen, FlashAttention, Flex.

Each takes the row as [heads, N, width] and the lengths of the examples in it, and keeps them apart
by itself. On a processor only Flex runs, forward and slowly; it serves the tests there. The others
have been read against their documentation and not yet been run: where one of them fails, or its
numbers differ from those of PyTorch's plain attention, ``works`` says so and it is not used.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from metier.tune.kernels.choice import Attention

TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 4e-2}
Lengths = tuple[int, ...]


def attend(
    kind: Attention,
    states: tuple[Tensor, Tensor, Tensor],
    lengths: Lengths,
    scale: float | None,
    window: int | None,
) -> Tensor:
    """Attend within each example; queries [heads, N, width], keys and values [key heads, N, width].

    ``window`` is how many tokens back a token sees, itself included. Returns [N, heads, width].
    """
    if kind == "flex":
        return _flex(states, lengths, scale, window)
    q, k, v = (part.transpose(0, 1) for part in states)
    ends, longest = _ends(lengths, q.device), max(lengths)
    back = -1 if window is None else window - 1
    if kind == "flash":
        # By name: the package is on no machine without a GPU.
        flash = import_module("flash_attn").flash_attn_varlen_func
        out: Tensor = flash(
            q,
            k,
            v,
            ends,
            ends,
            longest,
            longest,
            softmax_scale=scale,
            causal=True,
            window_size=(back, 0 if window else -1),
        )
        return out
    from torch.nn.attention.varlen import varlen_attn

    made = varlen_attn(
        q,
        k,
        v,
        ends,
        ends,
        longest,
        longest,
        scale=scale,
        window_size=(back, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(made, Tensor)
    return made


# One layout serves every layer of a pass, and the next pass has another.
@lru_cache(maxsize=4)
def _ends(lengths: Lengths, device: torch.device) -> Tensor:
    ends = torch.tensor((0, *lengths), dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return ends.to(device)


@lru_cache(maxsize=4)
def _mask(lengths: Lengths, window: int | None, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    owners = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(device)

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        seen = (owners[query] == owners[key]) & (query >= key)
        return seen if window is None else seen & (query - key < window)

    total = sum(lengths)
    return create_block_mask(sees, None, None, total, total, device=device)


def _flex(
    states: tuple[Tensor, Tensor, Tensor],
    lengths: Lengths,
    scale: float | None,
    window: int | None,
) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    q, k, v = (part[None] for part in states)
    run = _compiled() if q.is_cuda else flex_attention
    out: Tensor = run(
        q,
        k,
        v,
        block_mask=_mask(lengths, window, q.device),
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return out[0].transpose(0, 1)


@lru_cache(maxsize=1)
def _compiled() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


def works(kind: Attention, device: torch.device, dtype: torch.dtype, width: int = 64) -> str:
    """Try a kernel on two made examples; says what is wrong, or nothing."""
    lengths, draw = (5, 9), torch.Generator().manual_seed(0)
    rows = [torch.randn(heads, 14, width, generator=draw) for heads in (4, 2, 2)]
    q, k, v = (part.to(device, dtype) for part in rows)
    try:
        found = attend(kind, (q, k, v), lengths, None, None)
    # A kernel that does not fit the card fails in many ways, each its own.
    except Exception as error:
        return f"failed: {type(error).__name__}"
    apart, begin = 0.0, 0
    for length in lengths:
        part = slice(begin, begin + length)
        wanted = scaled_dot_product_attention(
            q[:, part],
            k[:, part].repeat_interleave(2, 0),
            v[:, part].repeat_interleave(2, 0),
            is_causal=True,
        )
        apart = max(apart, float((found[part] - wanted.transpose(0, 1)).abs().max()))
        begin += length
    return "" if apart <= TOLERANCE[dtype] else f"off by {apart:.2g}"
