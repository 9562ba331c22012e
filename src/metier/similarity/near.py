"""Near duplicates: MinHash signatures, banded hashing for candidates, exact Jaccard to decide.

A text is the set of its 5-character shingles after normalisation. Two texts are compared only when
one band of their signatures agrees; every pair that is returned was then verified on the full
shingle sets, so there are no false pairs, and a true pair is missed with a probability under 1%.

Sources: A. Broder, On the resemblance and containment of documents (1997); Leskovec, Rajaraman,
Ullman, Mining of Massive Datasets, section 3.4 (banding).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from metier.similarity.keys import normalise

SHINGLE = 5
PERMUTATIONS = 128
SEED = 7
MISS = 0.01
"""Largest probability that a pair exactly at the threshold is not even compared."""
BATCH = 2_000
"""Texts whose signatures are made at once; they pass through Python integers, which are large."""
CROWD = 100
"""Bucket size up to which all pairs are compared; above, only with the bucket's leaders."""

Hashes = NDArray[np.uint64]


def near_duplicates(texts: Sequence[str], threshold: float = 0.9) -> list[tuple[int, int, float]]:
    """Return pairs ``(i, j, similarity)``, i < j, whose Jaccard similarity reaches ``threshold``.

    Equal texts (after normalisation) are all paired with the first of them, not with one another;
    in crowds of over 100 alike, each with the first it matches. Sorted and deterministic.
    ``threshold`` lies in (0, 1]. Raises ValueError outside it.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold}")
    normal = [normalise(text) for text in texts]
    first: dict[str, int] = {}
    pairs: list[tuple[int, int, float]] = []
    for index, text in enumerate(normal):
        if (original := first.setdefault(text, index)) != index:
            pairs.append((original, index, 1.0))
    distinct = list(first.values())
    if len(distinct) > 1 and threshold < 1:
        sets = [np.unique(hashes) for hashes in shingle_hashes([normal[i] for i in distinct])]
        pairs += [(distinct[i], distinct[j], s) for i, j, s in _similar(sets, threshold)]
    return sorted(pairs)


def shingle_hashes(texts: Sequence[str]) -> list[Hashes]:
    """Return the 64-bit hash of every shingle of each text, in order; a text shorter than a
    shingle is one shingle."""
    padded = [text.ljust(SHINGLE, "\x00") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    hashes = np.zeros(max(0, len(codes) - SHINGLE + 1), dtype=np.uint64)
    for offset in range(SHINGLE):
        hashes *= np.uint64(0x100000001B3)
        hashes += codes[offset : offset + len(hashes)]
    hashes = _mix(hashes)
    ends = np.cumsum([len(text) for text in padded])
    starts = ends - [len(text) for text in padded]
    return [hashes[start : end - SHINGLE + 1] for start, end in zip(starts, ends, strict=True)]


def _mix(hashes: Hashes) -> Hashes:
    """Spread the bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = hashes ^ (hashes >> np.uint64(31))
    return mixed


def _similar(sets: Sequence[Hashes], threshold: float) -> Iterator[tuple[int, int, float]]:
    signatures = _signatures(sets)
    # Five standard deviations of the estimate below the threshold: no true pair is lost to it.
    floor = threshold - 5 * sqrt(threshold * (1 - threshold) / PERMUTATIONS)
    checked: dict[tuple[int, int], float] = {}

    def similarity(a: int, b: int) -> float:
        if (a, b) not in checked:
            estimate = np.count_nonzero(signatures[a] == signatures[b]) / PERMUTATIONS
            checked[a, b] = jaccard(sets[a], sets[b]) if estimate >= floor else 0.0
        return checked[a, b]

    found: set[tuple[int, int]] = set()
    for bucket in _buckets(signatures, bands_for(threshold)):
        leaders: list[int] = []
        for place, member in enumerate(bucket):
            rivals = leaders if len(bucket) > CROWD else bucket[:place]
            matches = [rival for rival in rivals if similarity(rival, member) >= threshold]
            found.update((match, member) for match in matches)
            if not matches and len(leaders) < CROWD:
                leaders.append(member)
    yield from ((a, b, checked[a, b]) for a, b in sorted(found))


def jaccard(a: Hashes, b: Hashes) -> float:
    """Return |a ∩ b| / |a ∪ b| of two sorted arrays without repeats."""
    if min(len(a), len(b)) == 0:
        return 0.0
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)


def _signatures(sets: Sequence[Hashes]) -> NDArray[np.uint32]:
    """Return MinHash signatures, shape [texts, PERMUTATIONS]."""
    from rensa import RMinHash

    signatures = np.empty((len(sets), PERMUTATIONS), dtype=np.uint32)
    for start in range(0, len(sets), BATCH):
        part = sets[start : start + BATCH]
        offsets = np.cumsum([0, *(len(s) for s in part)]).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            np.concatenate(part), offsets, PERMUTATIONS, SEED
        )
        signatures[start : start + len(part)] = matrix.to_rows()
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


def _buckets(signatures: NDArray[np.uint32], rows: int) -> Iterator[list[int]]:
    """Yield the groups of texts that agree on a band, each in ascending order."""
    for band in range(PERMUTATIONS // rows):
        part = np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])
        keys = part.view(np.dtype((np.void, part.dtype.itemsize * rows))).ravel()
        order = np.argsort(keys, kind="stable")
        changes = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
        edges = np.concatenate([[0], changes, [len(order)]])
        for group in np.flatnonzero(np.diff(edges) > 1):
            yield [int(index) for index in order[edges[group] : edges[group + 1]]]
