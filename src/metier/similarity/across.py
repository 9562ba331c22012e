"""Near duplicates between two lists of texts: every pair, none missed.

For what must not be missed (leakage), where MinHash with its small chance of a miss will not do.
Two sets whose Jaccard similarity reaches t share one of their rarest members: of n members, in any
fixed order, one of the first ``n - ceil(t * n) + 1``. So only texts that share one of those are
compared, on their full shingle sets. The order is by how often the shingle is in the left list.

Source: prefix filtering; S. Chaudhuri et al., A primitive operator for similarity joins in data
cleaning (ICDE 2006); C. Xiao et al., Efficient similarity joins for near-duplicate detection
(WWW 2008).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metier.similarity.keys import normalise
from metier.similarity.shingles import (
    SHINGLE,
    Hashes,
    Places,
    as_sets,
    distinct,
    pieces,
    shingles,
    similarities,
)

BUCKETS = 1 << 22
"""Places in which shingles are counted; two that share one only make the order less apt."""
CANDIDATES = 1_000_000
"""Pairs that are looked at at once."""
Match = tuple[int, int, float]


def near_across(
    left: Sequence[str], right: Sequence[str], threshold: float = 0.9, *, first: bool = False
) -> list[Match]:
    """Return all pairs ``(i, j, similarity)`` of ``left[i]`` and ``right[j]`` that reach it.

    Sorted by j, then i; with ``first`` only the lowest i for each j. Texts that are equal after
    normalisation have similarity 1. ``threshold`` lies in (0, 1]; at 1 only equal texts match.
    Raises ValueError outside it.
    """
    return NearLookup(left, threshold).find(right, first=first)


class NearLookup:
    """Finds texts that are nearly those of a list; ask it as often as you like."""

    def __init__(self, left: Sequence[str], threshold: float = 0.9) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie in (0, 1], got {threshold}")
        self.threshold, self._lefts = threshold, _Side(left)
        self._lengths = _lengths(self._lefts.texts)
        self._counts = _count(self._lefts.texts, self._lengths)
        self._index = _index(
            _prefixes(self._lefts.texts, self._lengths, self._counts, self.threshold)
        )

    def find(self, right: Sequence[str], *, first: bool = False) -> list[Match]:
        """Return the pairs with the texts of ``right``, as ``near_across`` does."""
        lefts, rights = self._lefts, _Side(right)
        found = [(i, j, 1.0) for j, text in enumerate(rights.texts) for i in lefts.same(text)]
        if self.threshold < 1 and lefts.texts and rights.texts:
            found += self._different(rights, first)
        spread = [
            (a, b, similarity)
            for i, j, similarity in found
            for b in rights.members[j]
            for a in (lefts.members[i][:1] if first else lefts.members[i])
        ]
        spread.sort(key=lambda match: (match[1], match[0]))
        if not first:
            return spread
        return list({match[1]: match for match in reversed(spread)}.values())[::-1]

    def _different(self, rights: _Side, first: bool) -> Iterator[Match]:
        """Yield the pairs of texts that are alike but not equal."""
        cut, lengths = len(self._lefts.texts), _lengths(rights.texts)
        texts = [*self._lefts.texts, *rights.texts]
        every = np.concatenate([self._lengths, lengths])
        for prefix in _prefixes(rights.texts, lengths, self._counts, self.threshold):
            for a, b in _candidates(self._index, prefix):
                pairs = zip(a.tolist(), (b + cut).tolist(), strict=True)
                differ = np.fromiter((texts[i] != texts[j] for i, j in pairs), bool, len(a))
                checked = _verified(texts, every, a[differ], b[differ] + cut, self.threshold, first)
                yield from ((int(i), int(j) - cut, float(s)) for i, j, s in checked)


class _Side:
    """The different normalised texts of one list, and where in the list each stands."""

    def __init__(self, texts: Sequence[str]) -> None:
        places: dict[str, list[int]] = defaultdict(list)
        for at, text in enumerate(texts):
            places[normalise(text)].append(at)
        self.texts, self.members = list(places), list(places.values())
        self.numbers = {text: number for number, text in enumerate(self.texts)}

    def same(self, text: str) -> Iterator[int]:
        """Yield the number of an equal text, if there is one."""
        if text in self.numbers:
            yield self.numbers[text]


def _lengths(texts: Sequence[str]) -> Places:
    return np.fromiter((len(text) for text in texts), np.int64, len(texts))


def _count(texts: Sequence[str], lengths: Places) -> Places:
    counts = np.zeros(BUCKETS, np.int64)
    for piece in pieces(lengths + SHINGLE):
        buckets = (shingles(texts[piece]).hashes & np.uint64(BUCKETS - 1)).astype(np.int64)
        counts += np.bincount(buckets, minlength=BUCKETS)
    return counts


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The rarest shingles of some texts: each with the number of its text and that set's size."""

    hashes: Hashes
    numbers: Places
    sizes: Places
    threshold: float


def _prefixes(
    texts: Sequence[str], lengths: Places, counts: Places, threshold: float
) -> Iterator[_Prefix]:
    def rarity(hashes: Hashes) -> Places:
        return counts[(hashes & np.uint64(BUCKETS - 1)).astype(np.int64)]

    for piece in pieces(lengths + SHINGLE):
        sets = as_sets(shingles(texts[piece]), rarity)
        # A little under the ceiling: rounding may make a prefix longer, never shorter.
        most = sets.sizes - np.ceil(threshold * sets.sizes - 1e-6).astype(np.int64) + 1
        owners = np.repeat(np.arange(len(sets.sizes)), sets.sizes)
        rank = np.arange(len(sets.members)) - sets.starts[:-1][owners]
        kept = rank < most[owners]
        owners, members = owners[kept], sets.members[kept]
        hashes = sets.known[members - owners * len(sets.known)]
        yield _Prefix(hashes, owners + piece.start, sets.sizes[owners], threshold)


def _index(prefixes: Iterator[_Prefix]) -> _Prefix:
    """Join prefixes into one, sorted by shingle."""
    none = np.zeros(0, np.int64)
    every = list(prefixes) or [_Prefix(none.astype(np.uint64), none, none, 1.0)]
    hashes = np.concatenate([one.hashes for one in every])
    order = np.argsort(hashes, kind="stable")
    numbers = np.concatenate([one.numbers for one in every])[order]
    sizes = np.concatenate([one.sizes for one in every])[order]
    return _Prefix(hashes[order], numbers, sizes, every[0].threshold)


def _candidates(index: _Prefix, prefix: _Prefix) -> Iterator[tuple[Places, Places]]:
    """Yield pairs of numbers that share a shingle of their prefixes, sorted by the second.

    All pairs of one text come together.
    """
    low = np.searchsorted(index.hashes, prefix.hashes, side="left")
    high = np.searchsorted(index.hashes, prefix.hashes, side="right")
    hits = high - low
    texts, starts = np.unique(prefix.numbers, return_index=True)
    edges = np.append(starts, len(hits))
    for run in pieces(np.add.reduceat(hits, starts), CANDIDATES) if len(texts) else ():
        part = slice(edges[run.start], edges[run.stop])
        counts = hits[part]
        source = np.repeat(np.arange(part.start, part.stop), counts)
        inside = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = low[source] + inside
        smaller = np.minimum(index.sizes[at], prefix.sizes[source])
        larger = np.maximum(index.sizes[at], prefix.sizes[source])
        fits = smaller >= prefix.threshold * larger - 1e-6
        keys = prefix.numbers[source[fits]] << 32 | index.numbers[at[fits]]
        keys = distinct(keys)
        yield keys & 0xFFFFFFFF, keys >> 32


def _verified(
    texts: Sequence[str], lengths: Places, a: Places, b: Places, threshold: float, first: bool
) -> Iterator[Match]:
    """Yield the pairs that are alike; with ``first``, for each b the first only."""
    starts = np.flatnonzero(np.append(True, b[1:] != b[:-1])) if len(b) else np.zeros(0, np.int64)
    rank = np.arange(len(b)) - np.repeat(starts, np.diff(np.append(starts, len(b))))
    open_, width, begin = np.ones(len(b), dtype=bool), 1 if first else len(b), 0
    while open_.any():
        turn = np.flatnonzero(open_ & (rank < begin + width))
        similar = similarities(texts, lengths, a[turn], b[turn])
        open_[turn] = False
        alike = similar >= threshold
        matched = b[turn[alike]]
        yield from zip(a[turn[alike]], matched, similar[alike], strict=True)
        if first:
            open_ &= ~np.isin(b, matched)
        begin, width = begin + width, 2 * width
