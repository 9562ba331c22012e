"""A small tagger: hashed word vectors, two convolutions, one label a token; numpy alone.

    x = sum of table rows of the word's features + row of the text's mode   [tokens, width]
    h1 = relu(conv5(x)); h2 = relu(conv5(h1)); scores = [h1, h2] out        [tokens, labels]

So a label depends on the word and four words on either side. Weights: ``tagger.npz``, made by
``runs/train_tagger.py`` (table in int8 with one scale per row, the rest in float16). After
Collobert et al. 2011 (window and sentence networks for tagging), with hashed spelling features
in place of trained word vectors.
"""

from __future__ import annotations

import io
import threading
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from metier.privacy.names import features

KINDS = ("person", "place", "organisation", "title", "nationality", "street_address")
LABELS = ("O", *(f"{place}-{kind}" for kind in KINDS for place in "BI"))
REACH = 2  # tokens on either side, per convolution
MOST_WORDS = 60_000
"""Word vectors kept; about 14 MB."""
PIECE = 20_000
"""Tokens tagged at a time."""

Array = np.ndarray[Any, np.dtype[Any]]


class Tagger:
    """The weights, and the vectors of words met so far. Not changed by use but for those."""

    def __init__(self, weights: dict[str, Array]) -> None:
        table = weights["table"].astype(np.float32)
        self._table = table * weights["scale"].astype(np.float32)[:, None]
        self._layers = [weights[name].astype(np.float32) for name in ("w1", "w2", "w3")]
        self._biases = [weights[name].astype(np.float32) for name in ("b1", "b2", "b3")]
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._places: dict[str, int] = {}
        self._vectors = np.zeros((1024, self._table.shape[1]), np.float32)

    def scores(self, words: list[str], mode: int) -> Array:
        """Return log-probabilities up to a constant per token, float32 [tokens, labels]."""
        margin = 2 * REACH
        if len(words) <= PIECE:
            return self._scores(words, mode)
        pieces = []
        for start in range(0, len(words), PIECE):
            low, high = max(0, start - margin), min(len(words), start + PIECE + margin)
            piece = self._scores(words[low:high], mode)
            pieces.append(piece[start - low : start - low + PIECE])
        return np.concatenate(pieces)

    def _scores(self, words: list[str], mode: int) -> Array:
        x = self._vectors_of(words) + self._table[mode]
        h1 = self._convolve(x, 0)
        h2 = self._convolve(h1, 1)
        out: Array = np.concatenate([h1, h2], axis=1) @ self._layers[2] + self._biases[2]
        return out

    def _convolve(self, x: Array, layer: int) -> Array:
        padded = np.zeros((len(x) + 2 * REACH, x.shape[1]), np.float32)
        padded[REACH:-REACH] = x
        windows = np.lib.stride_tricks.as_strided(
            padded,
            (len(x), (2 * REACH + 1) * x.shape[1]),
            (padded.strides[0], padded.strides[1]),
            writeable=False,
        )
        out = windows @ self._layers[layer]
        out += self._biases[layer]
        return np.maximum(out, 0, out=out)

    def _vectors_of(self, words: list[str]) -> Array:
        with self._lock:  # serving shares one tagger between threads
            known = self._places
            try:
                return self._vectors[[known[word] for word in words]]
            except KeyError:
                if len(known) > MOST_WORDS:
                    self._reset()
                for word in words:
                    if word not in self._places:
                        self._learn(word)
                known = self._places
                return self._vectors[[known[word] for word in words]]

    def _learn(self, word: str) -> None:
        place = len(self._places)
        if place == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[place] = self._table[features.rows(word)].sum(axis=0)
        self._places[word] = place


@lru_cache(maxsize=1)
def load() -> Tagger:
    """Return the bundled tagger."""
    data = files("metier.privacy.names").joinpath("tagger.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as weights:
        return Tagger(dict(weights))
