"""Continuous batches: a row that is done leaves its place to the next one that waits.

Keys and values stand in places of a fixed width, each row's from column 0 on, so that nothing is
padded, moved or copied when a token is added: a step writes one column per row. What all prompts
begin with is computed once and copied into each place.

    place 0   S S S a b c x y .        S shared, a b c prompt, x y reply so far
    place 1   S S S d e f g h z
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metier.models.engines.decode import (
    Decoding,
    Row,
    SharedPrefix,
    begin,
    choose_tokens,
    new_cache,
    prefill,
    push_token,
)

REFILL_SHARE = 8
"""New rows are taken in when an eighth of the places is free: one pass for several."""
GROW_SHARE = 1.25
"""The places are laid out anew when that makes room for so many times more rows."""


@dataclass(frozen=True)
class Room:
    """What a batch may take: ``tokens`` over all places, ``rows`` at once."""

    tokens: int
    rows: int

    def places(self, width: int) -> int:
        """Return how many rows of this width fit (at least one)."""
        return max(1, min(self.rows, self.tokens // width))


@dataclass
class _Filled:
    """How far the places are filled; shared by the layers of one cache."""

    rows: Tensor
    columns: Tensor
    width: int = 0


class SlotLayer:
    """Keys and values of one layer, [places, heads, width, size]; a step writes at ``filled``."""

    is_sliding = False
    is_compileable = False
    is_croppable = False

    def __init__(self, keys: Tensor, values: Tensor, filled: _Filled) -> None:
        self.keys, self.values, self.filled = keys, values, filled
        self.is_initialized = True

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write one token per row; return what the rows in use attend to."""
        rows, columns, width = self.filled.rows, self.filled.columns, self.filled.width
        self.keys[rows, :, columns] = keys[:, :, 0]
        self.values[rows, :, columns] = values[:, :, 0]
        used = columns.shape[0]
        return self.keys[:used, :, :width], self.values[:used, :, :width]

    def get_seq_length(self) -> int:
        """Return the columns that are filled in the fullest place."""
        return self.filled.width - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return width and offset of what is attended to."""
        return self.filled.width, 0

    def get_max_length(self) -> int:
        """Return -1: the layer sets no limit of its own."""
        return -1


class _Places:
    """The rows that are being decoded, in places 0 to ``len(rows)`` - 1."""

    def __init__(self, model: Any, like: Sequence[Any], count: int, width: int) -> None:
        device = like[0].keys.device
        self.model, self.count, self.width = model, count, width
        self.rows: list[Row] = []
        self.lengths: list[int] = []
        nothing = torch.zeros(0, dtype=torch.long, device=device)
        self.filled = _Filled(nothing, nothing)
        self.layers = [
            SlotLayer(_room(one.keys, count, width), _room(one.values, count, width), self.filled)
            for one in like
        ]
        self.blocked = torch.finfo(like[0].keys.dtype).min
        self.mask = torch.full(
            (count, 1, 1, width), self.blocked, dtype=like[0].keys.dtype, device=device
        )

    @property
    def free(self) -> int:
        return self.count - len(self.rows)

    def put(self, row: Row, length: int, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Give a row a place; ``layers`` hold its keys and values, [heads, length, size]."""
        place = len(self.rows)
        self.rows.append(row)
        self.lengths.append(length)
        for mine, (keys, values) in zip(self.layers, layers, strict=True):
            mine.keys[place, :, :length] = keys
            mine.values[place, :, :length] = values
        self.mask[place, ..., :length] = 0
        self.mask[place, ..., length:] = self.blocked

    def drop_finished(self) -> None:
        """Close the gaps of rows that are done with the last ones."""
        place = 0
        while place < len(self.rows):
            if not self.rows[place].finish:
                place += 1
                continue
            row, length = self.rows.pop(), self.lengths.pop()
            last = len(self.rows)
            if place < last:
                self.rows[place], self.lengths[place] = row, length
                for layer in self.layers:
                    layer.keys[place, :, :length] = layer.keys[last, :, :length]
                    layer.values[place, :, :length] = layer.values[last, :, :length]
                self.mask[place] = self.mask[last]

    def step(self) -> Tensor:
        """Feed the newest token of each row; return the logits [rows, vocabulary]."""
        device, used = self.mask.device, len(self.rows)
        rows, columns = torch.arange(used, device=device), torch.tensor(self.lengths, device=device)
        self.filled.rows, self.filled.columns = rows, columns
        self.filled.width = max(self.lengths) + 1
        self.mask[rows, 0, 0, columns] = 0
        cache = new_cache()
        cache.layers = self.layers
        out = self.model(
            input_ids=torch.tensor([row.tokens[-1] for row in self.rows], device=device)[:, None],
            attention_mask=self.mask[:used, :, :, : self.filled.width],
            position_ids=columns[:, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.lengths = [length + 1 for length in self.lengths]
        logits: Tensor = out.logits[:, -1]
        return logits

    def moved_to(self, count: int, width: int) -> _Places:
        """Return the same rows in places of another width."""
        found = _Places(self.model, self.layers, count, width)
        for place, (row, length) in enumerate(zip(self.rows, self.lengths, strict=True)):
            layers = [
                (one.keys[place, :, :length], one.values[place, :, :length]) for one in self.layers
            ]
            found.put(row, length, layers)
        return found


def run_queue(
    model: Any, rows: Sequence[Row], how: Decoding, shared: SharedPrefix | None, room: Room
) -> Iterator[None]:
    """Decode all rows to their end, yielding after every pass; results are in the rows.

    Rows are taken in as they come, best the longest prompts first. The model must take additive
    masks (see ``Shortcuts``); each row's result is what it is alone.
    """
    waiting, places = deque(rows), None
    while waiting or (places is not None and places.rows):
        if waiting and _time_to_refill(places):
            with torch.inference_mode():
                places = _take_in(model, waiting, places, how, shared, room)
            yield
        if places is not None and places.rows:
            with torch.inference_mode():
                chosen = choose_tokens(places.step(), places.rows, how)
                for row, token in zip(places.rows, chosen, strict=True):
                    push_token(row, token, how)
                places.drop_finished()
            yield


def second_logits(model: Any, prompts: Sequence[list[int]], token: int, pad_id: int) -> Tensor:
    """Return the logits [prompts, vocabulary] after prompts and one token, decoded in places.

    For comparing with the plain way (``Shortcuts``).
    """
    rows = [Row(prompt, 4, tokens=[token]) for prompt in prompts]
    state = prefill(model, prompts, pad_id)
    width = max(map(_width, rows))
    places = _Places(model, state.cache.layers, len(rows), width)
    for number, row in enumerate(rows):
        places.put(row, len(row.prompt), _layers_of(state.cache.layers, number, 0, row))
    return places.step()


def _time_to_refill(places: _Places | None) -> bool:
    return places is None or not places.rows or places.free * REFILL_SHARE >= places.count


def _take_in(
    model: Any,
    waiting: deque[Row],
    places: _Places | None,
    how: Decoding,
    shared: SharedPrefix | None,
    room: Room,
) -> _Places:
    """Run the prompts of as many rows as there is room for, and give them places."""
    going = [] if places is None else places.rows
    width = max(_width(row) for row in (*going, waiting[0]))
    count = min(room.places(width), len(going) + len(waiting))
    if places is not None and count < GROW_SHARE * places.count:
        count = places.count
    fresh = [waiting.popleft() for _ in range(min(count - len(going), len(waiting)))]
    begin(fresh)
    state = prefill(model, [row.prompt for row in fresh], how.pad_id, shared)
    for row, token in zip(fresh, choose_tokens(state.logits, fresh, how), strict=True):
        push_token(row, token, how)
    width = max(width, *map(_width, fresh))
    if places is None:
        places = _Places(model, state.cache.layers, count, width)
    elif count > places.count or width > places.width:
        places = places.moved_to(count, width)
    skip = 0 if shared is None else shared.length
    for number, row in enumerate(fresh):
        if not row.finish:
            own = _layers_of(state.cache.layers, number, skip, row)
            places.put(row, len(row.prompt), own)
    return places


def _layers_of(
    layers: Sequence[Any], number: int, skip: int, row: Row
) -> list[tuple[Tensor, Tensor]]:
    return [
        (_own(one.keys, number, skip, row), _own(one.values, number, skip, row)) for one in layers
    ]


def _own(stored: Tensor, number: int, skip: int, row: Row) -> Tensor:
    """Return one row's columns, shared ones and its own, without the padding between them."""
    end = stored.shape[2]
    kept = stored[number, :, end - (len(row.prompt) - skip) :]
    return torch.cat([stored[number, :, :skip], kept], dim=1) if skip else kept


def _width(row: Row) -> int:
    return len(row.prompt) + row.limit


def _room(like: Tensor, count: int, width: int) -> Tensor:
    return like.new_zeros((count, like.shape[1], width, like.shape[3]))
