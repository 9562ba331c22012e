"""Texts that mean nearly the same: cosine similarity of embeddings, searched exactly in blocks.

Which texts count as alike hangs on the embedder (see ``embeddings``): ``hashed`` sees shared words
and spellings only. Time grows with the square of the number of texts; a vector takes four bytes a
dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from metier.similarity.embeddings import Embedder, Vectors

BLOCK = 2_048
"""Rows and columns of the table of similarities that is held at once."""
SLACK = 1e-3
"""How much lower a product of float32 may come out than the similarity."""
LIKES = 100
"""Earlier texts that one is paired with, at most: the first of them."""
Match = tuple[int, int, float]


def semantic_duplicates(texts: Sequence[str], threshold: float, embedder: Embedder) -> list[Match]:
    """Return pairs ``(i, j, similarity)``, i < j, whose cosine similarity reaches ``threshold``.

    Sorted by j, then i; of over LIKES earlier ones, a text is paired with the first. Texts without
    a vector (empty) are like none.
    """
    vectors = embedder.embed(texts)
    return list(_matches(vectors, vectors, threshold, LIKES, before=True))


class SemanticLookup:
    """Finds texts that mean nearly what one of a list does."""

    def __init__(self, left: Sequence[str], threshold: float, embedder: Embedder) -> None:
        self.threshold, self._embedder = threshold, embedder
        self._vectors = embedder.embed(left)

    def find(self, right: Sequence[str]) -> list[Match]:
        """Return ``(i, j, similarity)`` for each j of ``right`` with a match: the lowest i."""
        return list(_matches(self._vectors, self._embedder.embed(right), self.threshold, 1))


def _matches(
    left: Vectors, right: Vectors, threshold: float, most: int, *, before: bool = False
) -> Iterator[Match]:
    """Yield up to ``most`` matches of each right row; with ``before``, of lefts before it."""
    for start in range(0, len(right), BLOCK):
        block = right[start : start + BLOCK]
        counts = np.zeros(len(block), np.int64)
        found: list[Match] = []
        for at in range(0, min(len(left), start + len(block)) if before else len(left), BLOCK):
            part = left[at : at + BLOCK]
            rows, columns = np.nonzero(block @ part.T >= threshold - SLACK)
            later = (at + columns < start + rows) | (not before)
            for j, i in zip(rows[later].tolist(), columns[later].tolist(), strict=True):
                if counts[j] < most and (similarity := _cosine(part[i], block[j])) >= threshold:
                    counts[j] += 1
                    found.append((at + i, start + j, similarity))
            if (counts >= most).all():
                break
        yield from sorted(found, key=lambda match: (match[1], match[0]))


def _cosine(a: Vectors, b: Vectors) -> float:
    """Return the product in float64, rounded: blocks of any size give the same."""
    return round(float(np.sum(a.astype(np.float64) * b)), 6)
