"""Near duplicates: MinHash signatures, banded hashing for candidates, exact Jaccard to decide.

A text is the set of its 5-character shingles after normalisation. Two texts are compared only when
one band of their signatures agrees; every pair that is returned was then verified on the full
shingle sets, so there are no false pairs, and a true pair is missed with a probability under 1%.

Signatures take 512 bytes a text; everything else is done in pieces of a bounded size.

Sources: A. Broder, On the resemblance and containment of documents (1997); Leskovec, Rajaraman,
Ullman, Mining of Massive Datasets, section 3.4 (banding).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from metier.similarity.keys import normalise
from metier.similarity.shingles import Places, mix, pieces, shingles, similarities

PERMUTATIONS = 128
SEED = 7
MISS = 0.01
"""Largest probability that a pair exactly at the threshold is not even compared."""
BATCH = 200_000
"""Characters whose signatures are made at once; they pass through Python integers."""
CROWD = 100
"""Bucket size up to which all pairs are compared; above, only with the bucket's leaders."""
ROWS = 50_000
"""Pairs whose signatures are compared at once."""

Signatures = NDArray[np.uint32]
Similar = NDArray[np.float64]


def near_duplicates(texts: Sequence[str], threshold: float = 0.9) -> list[tuple[int, int, float]]:
    """Return pairs ``(i, j, similarity)``, i < j, whose Jaccard similarity reaches ``threshold``.

    Equal texts (after normalisation) are all paired with the first of them, not with one another;
    in crowds of over 100 alike, each with the first it matches. Sorted and deterministic.
    ``threshold`` lies in (0, 1]. Raises ValueError outside it.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold}")
    first: dict[str, int] = {}
    pairs: list[tuple[int, int, float]] = []
    for index, text in enumerate(texts):
        if (original := first.setdefault(normalise(text), index)) != index:
            pairs.append((original, index, 1.0))
    places, normal = list(first.values()), list(first)
    del first
    if len(normal) > 1 and threshold < 1:
        pairs += [(places[i], places[j], s) for i, j, s in _similar(normal, threshold)]
    return sorted(pairs)


def _similar(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of different normalised texts."""
    pairs = _Pairs(texts, threshold)
    for band in _bands(pairs.signatures, bands_for(threshold)):
        for a, b in _small(band):
            pairs.compare(a, b)
        for crowd in _large(band):
            _meet(crowd, pairs)
    yield from pairs.found()


class _Pairs:
    """Compares pairs of texts, each only once, and remembers those that are alike."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._texts, self._threshold = texts, threshold
        self._lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
        self.signatures = _signatures(texts, self._lengths)
        # Five deviations of the estimate below the threshold: no true pair is lost to it.
        deviation = sqrt(threshold * (1 - threshold) / PERMUTATIONS)
        self._fewest = (threshold - 5 * deviation) * PERMUTATIONS
        self._keys, self._similar = np.zeros(0, np.uint64), np.zeros(0)
        self._fresh: list[tuple[NDArray[np.uint64], Similar]] = []
        self._waiting = 0

    def compare(self, a: Places, b: Places) -> NDArray[np.bool_]:
        """Say for which i the texts ``a[i]`` and ``b[i]`` (later than ``a[i]``) are alike."""
        alike = np.zeros(len(a), dtype=bool)
        likely = np.flatnonzero(self._agree(a, b) >= self._fewest)
        if len(likely):
            keys = a[likely].astype(np.uint64) << np.uint64(32) | b[likely].astype(np.uint64)
            alike[likely] = self._exactly(keys) >= self._threshold
        return alike

    def found(self) -> Iterator[tuple[int, int, float]]:
        """Yield the pairs that are alike, in order."""
        self._file()
        alike = self._similar >= self._threshold
        keys = self._keys[alike]
        a, b = keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)
        yield from zip(a.tolist(), b.tolist(), self._similar[alike].tolist(), strict=True)

    def _agree(self, a: Places, b: Places) -> Places:
        counts = np.empty(len(a), np.int64)
        for at in range(0, len(a), ROWS):
            piece = slice(at, at + ROWS)
            same = self.signatures[a[piece]] == self.signatures[b[piece]]
            counts[piece] = np.count_nonzero(same, axis=1)
        return counts

    def _exactly(self, keys: NDArray[np.uint64]) -> Similar:
        unique, back = np.unique(keys, return_inverse=True)
        found = np.full(len(unique), -1.0)
        if len(self._keys):
            at = np.minimum(np.searchsorted(self._keys, unique), len(self._keys) - 1)
            known = self._keys[at] == unique
            found[known] = self._similar[at[known]]
        new = np.flatnonzero(found < 0)
        if len(new):
            a = (unique[new] >> np.uint64(32)).astype(np.int64)
            b = (unique[new] & np.uint64(0xFFFFFFFF)).astype(np.int64)
            found[new] = similarities(self._texts, self._lengths, a, b)
            self._fresh.append((unique[new], found[new]))
            self._waiting += len(new)
            if 4 * self._waiting > len(self._keys):  # so that filing stays cheap on average
                self._file()
        return found[back]

    def _file(self) -> None:
        if self._fresh:
            keys, similar = zip(*self._fresh, strict=True)
            joined = np.concatenate([self._keys, *keys])
            self._keys, first = np.unique(joined, return_index=True)
            self._similar = np.concatenate([self._similar, *similar])[first]
            self._fresh, self._waiting = [], 0


def _signatures(texts: Sequence[str], lengths: Places) -> Signatures:
    """Return MinHash signatures, shape [texts, PERMUTATIONS]."""
    from rensa import RMinHash

    signatures = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
    for piece in pieces(lengths, BATCH):
        part = shingles(texts[piece])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            part.hashes, part.starts.astype(np.uint64), PERMUTATIONS, SEED
        )
        # Three times as fast as handing the lists to numpy.
        rows = b"".join(array("I", row).tobytes() for row in matrix.to_rows())
        signatures[piece] = np.frombuffer(rows, np.uint32).reshape(-1, PERMUTATIONS)
    return signatures


def bands_for(threshold: float) -> int:
    """Return the rows per band: the most (fewest false candidates) at which a pair exactly at the
    threshold is missed with probability under MISS, (1 - t^rows)^bands."""
    fitting = [
        rows
        for rows in range(1, PERMUTATIONS + 1)
        if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= MISS
    ]
    return max(fitting, default=1)


Band = tuple[Places, Places]
"""Texts sorted by bucket, those of one bucket in ascending order, and where each bucket begins."""


def _bands(signatures: Signatures, rows: int) -> Iterator[Band]:
    """Yield the buckets of texts that agree on a band, one band after the other."""
    for band in range(PERMUTATIONS // rows):
        keys = np.zeros(len(signatures), np.uint64)
        for row in range(band * rows, (band + 1) * rows):
            keys = mix(keys + np.uint64(0x9E3779B97F4A7C15) + signatures[:, row])
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        yield order, np.concatenate([[0], changes, [len(order)]])


def _small(band: Band) -> Iterator[tuple[Places, Places]]:
    """Yield all pairs of the buckets up to CROWD, many at once."""
    order, edges = band
    sizes = np.diff(edges)
    for size in np.unique(sizes[(sizes > 1) & (sizes <= CROWD)]).tolist():
        one, other = np.triu_indices(size, 1)
        starts = edges[:-1][sizes == size]
        step = max(1, 4 * ROWS // len(one))
        for at in range(0, len(starts), step):
            buckets = order[starts[at : at + step, None] + np.arange(size)]
            yield buckets[:, one].ravel(), buckets[:, other].ravel()


def _large(band: Band) -> Iterator[Places]:
    """Yield the buckets above CROWD."""
    order, edges = band
    for bucket in np.flatnonzero(np.diff(edges) > CROWD):
        yield order[edges[bucket] : edges[bucket + 1]]


def _meet(crowd: Places, pairs: _Pairs) -> None:
    """Compare every member of a crowd with the leaders before it; who matches none leads, too."""
    leading = np.arange(len(crowd))  # those who match no leader yet
    for _ in range(CROWD):
        if not len(leading):
            return
        first, leading = leading[0], leading[1:]
        later = np.arange(first + 1, len(crowd))
        alike = later[pairs.compare(np.full(len(later), crowd[first]), crowd[later])]
        leading = np.setdiff1d(leading, alike, assume_unique=True)
