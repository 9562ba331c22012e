"""Batched decoding: left-padded prompts in, one token per row and step out.

Rows never influence each other: positions are each row's own, padding is masked, and each row has
its own random generator, so a batch gives what one-by-one decoding gives. Rows that are done
leave the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metier.models.choosing import Grammar

Ends = Callable[[str], int | None]
"""Where the text ends: the number of characters to keep, or None to go on."""


@dataclass
class Row:
    """One reply in the making."""

    prompt: list[int]
    limit: int
    generator: torch.Generator | None = None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: str = ""
    ended_by: int | None = None
    """The stop token that was drawn; it is not among ``tokens``."""
    begun_at: float | None = None
    first_token_at: float | None = None


@dataclass(frozen=True)
class Decoding:
    """What is the same for all rows. ``ends`` looks at the text so far; ``allowed`` [vocabulary]
    is True for tokens that may be written (None: all); ``grammar`` has the last word."""

    decode: Callable[[list[int]], str]
    stop_ids: frozenset[int]
    pad_id: int
    temperature: float = 0.0
    top_p: float = 1.0
    ends: Ends | None = None
    allowed: Tensor | None = None
    grammar: Grammar | None = None


def left_pad(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return ids and a 0/1 mask, both [batch, longest], padding on the left."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        if prompt:
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
    return ids, mask


def positions(mask: Tensor) -> Tensor:
    """Return position ids for a 0/1 mask: real tokens count from 0, padding gets 0."""
    return (mask.cumsum(dim=-1) - 1).clamp_min(0)


@dataclass
class Prefilled:
    """Prompts that went through the model: the cache, its mask, and the last logits."""

    cache: Any
    mask: Tensor
    lengths: Tensor
    logits: Tensor


def prefill(
    model: Any, prompts: Sequence[Sequence[int]], pad_id: int, shared: Any = None
) -> Prefilled:
    """Run prompts through the model once. ``shared`` is a SharedPrefix they all begin with."""
    device = next(model.parameters()).device
    skip = 0 if shared is None else shared.length
    ids, mask = left_pad([prompt[skip:] for prompt in prompts], pad_id)
    ids, mask = ids.to(device), mask.to(device)
    cache = None
    place = positions(mask) + skip
    if shared is not None:
        cache = shared.expand(len(prompts))
        mask = torch.cat([mask.new_ones((len(prompts), skip)), mask], 1)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=place,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return Prefilled(out.past_key_values, mask, mask.sum(dim=1), out.logits[:, -1])


@dataclass(frozen=True)
class SharedPrefix:
    """Keys and values of the tokens that all prompts begin with; [1, heads, length, width]."""

    length: int
    layers: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def run(cls, model: Any, ids: Sequence[int]) -> SharedPrefix:
        """Compute the prefix once."""
        device = next(model.parameters()).device
        tokens = torch.tensor([list(ids)], device=device)
        cache = new_cache()
        model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cls(len(ids), tuple((layer.keys, layer.values) for layer in cache.layers))

    def expand(self, batch: int) -> Any:
        """Return a cache that holds the prefix for every row of a batch."""
        cache = new_cache()
        for index, (keys, values) in enumerate(self.layers):
            cache.update(keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1), index)
        return cache


def new_cache() -> Any:
    """Return an empty cache that keeps every position."""
    from transformers import DynamicCache

    return DynamicCache()


def run(model: Any, rows: list[Row], how: Decoding, shared: SharedPrefix | None) -> Iterator[None]:
    """Decode all rows to their end, yielding after every step; results are in the rows."""
    begin(rows)
    with torch.inference_mode():
        state = prefill(model, [row.prompt for row in rows], how.pad_id, shared)
    active = list(rows)
    while active:
        with torch.inference_mode():
            chosen = choose_tokens(state.logits, active, how)
        for row, token in zip(active, chosen, strict=True):
            push_token(row, token, how)
        yield
        keep = [index for index, row in enumerate(active) if not row.finish]
        active = [active[index] for index in keep]
        if not active:
            return
        with torch.inference_mode():
            state = _step(model, state, keep, [row.tokens[-1] for row in active])


def begin(rows: Sequence[Row]) -> None:
    """Note that the prompts of these rows go in now."""
    now = time.perf_counter()
    for row in rows:
        row.begun_at = now


def _step(model: Any, state: Prefilled, keep: list[int], tokens: list[int]) -> Prefilled:
    """Feed the newest token of the rows that go on."""
    device = state.mask.device
    mask, lengths = state.mask, state.lengths
    if len(keep) < mask.shape[0]:
        index = torch.tensor(keep, device=device)
        mask, lengths = mask[index], lengths[index]
        state.cache.batch_select_indices(index)
    mask = torch.cat([mask, mask.new_ones((len(keep), 1))], 1)
    out = model(
        input_ids=torch.tensor(tokens, device=device)[:, None],
        attention_mask=mask,
        position_ids=lengths[:, None],
        past_key_values=state.cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return Prefilled(out.past_key_values, mask, lengths + 1, out.logits[:, -1])


def push_token(row: Row, token: int, how: Decoding) -> None:
    """Append a token to a row, and find out whether the row ends with it."""
    if row.first_token_at is None:
        row.first_token_at = time.perf_counter()
    if token in how.stop_ids:
        row.finish, row.ended_by = "stop", token
        row.text = how.decode(row.tokens)
        return
    row.tokens.append(token)
    full = len(row.tokens) >= row.limit
    if how.ends is not None or full:
        row.text = how.decode(row.tokens)
    cut = how.ends(row.text) if how.ends is not None else None
    if cut is not None:
        row.text, row.finish = row.text[:cut], "stop"
    elif full:
        row.finish = "length"


def choose_tokens(logits: Tensor, rows: Sequence[Row], how: Decoding) -> list[int]:
    """Return the next token of each row; ``logits`` [rows, vocabulary]."""
    scores = logits.float()
    if how.allowed is not None:
        scores = scores.masked_fill(~how.allowed, float("-inf"))
    if how.temperature <= 0:
        best = [int(token) for token in scores.argmax(dim=-1).tolist()]
        if how.grammar is None:
            return best
        return [
            token if _fits(row, token, how) else _best_fitting(line, row, how)
            for token, line, row in zip(best, scores, rows, strict=True)
        ]
    probabilities = _nucleus((scores / how.temperature).softmax(dim=-1), how.top_p).cpu()
    return [
        _draw(p, row, how, line) for p, row, line in zip(probabilities, rows, scores, strict=True)
    ]


def _draw(probabilities: Tensor, row: Row, how: Decoding, scores: Tensor) -> int:
    """Draw a token; one that does not fit is struck out and another drawn."""
    while True:
        token = int(torch.multinomial(probabilities, 1, generator=row.generator))
        if how.grammar is None or _fits(row, token, how):
            return token
        probabilities[token] = 0.0
        if not float(probabilities.sum()) > 0:
            return _best_fitting(scores, row, how)


def _best_fitting(scores: Tensor, row: Row, how: Decoding) -> int:
    """Return the likeliest token that fits; a stop token when none does."""
    for token in scores.argsort(descending=True).tolist():
        if _fits(row, token, how):
            return int(token)
    return min(how.stop_ids)


def _fits(row: Row, token: int, how: Decoding) -> bool:
    if how.grammar is None:
        return True
    if token in how.stop_ids:
        return how.grammar.whole(row.text)
    text = how.decode([*row.tokens, token])
    return text != row.text and how.grammar.fits(text)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero what lies outside the smallest set that holds ``top_p`` of the mass."""
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True)
    outside = ordered.cumsum(dim=-1) - ordered >= top_p
    return probabilities.masked_fill(outside.scatter(-1, order, outside), 0.0)
