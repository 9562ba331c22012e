"""Nearest rows of other units: who asks nearly the same, and how near that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.data.quality.confident import FloatArray, IntArray
from metier.data.quality.out_of_fold import features_of

BLOCK = 256
TFIDF = "tfidf"


@dataclass(frozen=True)
class Near:
    """Positions [rows, k] of the nearest rows and their cosines, nearest first; -1 and 0 where
    there are fewer than k."""

    at: IntArray
    cosine: FloatArray


def vectors_of(texts: Sequence[str], embedder: str = TFIDF) -> Any:
    """Return rows of length 1: sparse TF-IDF, or an embedder's vectors."""
    if embedder == TFIDF:
        return features_of(texts)
    from metier.similarity.embeddings import make_embedder

    return make_embedder(embedder).embed(texts)


def nearest(vectors: Any, units: Sequence[Sequence[int]], k: int, most: int) -> Near:
    """Return each row's ``k`` nearest among rows of other units.

    Of more than ``most`` rows they are compared with every so-manieth row, so that the work grows
    with the rows, not with their square.
    """
    rows = vectors.shape[0]
    unit = np.zeros(rows, dtype=np.int64)
    for number, members in enumerate(units):
        unit[list(members)] = number
    step = -(-rows // most)
    pool = np.arange(0, rows, step)
    k = min(k, len(pool))
    at, cosine = np.full((rows, k), -1, dtype=np.int64), np.zeros((rows, k))
    known = vectors[pool].T
    for start in range(0, rows, BLOCK):
        mine = np.arange(start, min(start + BLOCK, rows))
        similar = _dense(vectors[mine] @ known)
        similar[unit[mine][:, None] == unit[pool][None, :]] = -1.0
        order = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(similar, order, axis=1)
        at[mine] = np.where(found < 0, -1, pool[order])
        cosine[mine] = np.maximum(found, 0.0)
    return Near(at, cosine)


def _dense(table: Any) -> NDArray[np.float64]:
    plain = table.toarray() if hasattr(table, "toarray") else table
    return np.asarray(plain, dtype=np.float64)
