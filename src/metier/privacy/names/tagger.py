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

from metier.privacy.names import features, lexicon

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
        self._bits = np.zeros(1024, np.int32)

    def read(self, words: list[str], mode: int) -> tuple[Array, Array]:
        """Return log-probabilities up to a constant, float32 [tokens, labels], and what each word
        may be by the lists, int32 [tokens] (bits of ``lexicon``)."""
        margin = 2 * REACH
        if len(words) <= PIECE:
            return self._read(words, mode)
        scores, bits = [], []
        for start in range(0, len(words), PIECE):
            low, high = max(0, start - margin), min(len(words), start + PIECE + margin)
            piece = self._read(words[low:high], mode)
            cut = slice(start - low, start - low + PIECE)
            scores.append(piece[0][cut])
            bits.append(piece[1][cut])
        return np.concatenate(scores), np.concatenate(bits)

    def _read(self, words: list[str], mode: int) -> tuple[Array, Array]:
        vectors, bits = self._looked_up(words)
        x = vectors + self._table[mode]
        h1 = self._convolve(x, 0)
        h2 = self._convolve(h1, 1)
        out: Array = np.concatenate([h1, h2], axis=1) @ self._layers[2] + self._biases[2]
        return out, bits

    def _convolve(self, x: Array, layer: int) -> Array:
        padded = np.zeros((len(x) + 2 * REACH, x.shape[1]), np.float32)
        padded[REACH:-REACH] = x
        # Side by side in one copy: BLAS does not multiply overlapping windows.
        windows = [padded[n : n + len(x)] for n in range(2 * REACH + 1)]
        out = np.concatenate(windows, axis=1) @ self._layers[layer]
        out += self._biases[layer]
        return np.maximum(out, 0, out=out)

    def _looked_up(self, words: list[str]) -> tuple[Array, Array]:
        with self._lock:  # serving shares one tagger between threads
            try:
                places = [self._places[word] for word in words]
            except KeyError:
                if len(self._places) > MOST_WORDS:
                    self._reset()
                places = [self._place(word) for word in words]
            return self._vectors[places], self._bits[places]

    def _place(self, word: str) -> int:
        place = self._places.setdefault(word, len(self._places))
        if place == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
        if place == len(self._places) - 1:
            self._vectors[place] = self._table[features.rows(word)].sum(axis=0)
            self._bits[place] = lexicon.bits_by_word().get(word.lower(), 0)
        return place


@lru_cache(maxsize=1)
def load() -> Tagger:
    """Return the bundled tagger."""
    data = files("metier.privacy.names").joinpath("tagger.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as weights:
        return Tagger(dict(weights))
