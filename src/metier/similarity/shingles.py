"""Texts as sets of 5-character shingles, and the exact Jaccard similarity of many pairs at once.

Shingles are kept flat: one array of 64-bit hashes, and where each text's begin. Pairs are compared
in pieces of a bounded size, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
PIECE = 2_000_000
"""Shingles that are held at once; each takes about 60 bytes while it is worked on."""

T = TypeVar("T", bound=np.generic)
Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shingles:
    """The shingles of some texts, in order and with repeats: text i has
    ``hashes[starts[i]:starts[i + 1]]``."""

    hashes: Hashes
    starts: Places

    @property
    def owners(self) -> Places:
        """For each shingle, the place of its text."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def shingles(texts: Sequence[str]) -> Shingles:
    """Hash every shingle of each text; a text shorter than a shingle is one shingle."""
    padded = [text.ljust(SHINGLE, "\x00") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    hashes = np.zeros(max(0, len(codes) - SHINGLE + 1), dtype=np.uint64)
    for offset in range(SHINGLE):
        hashes *= np.uint64(0x100000001B3)
        hashes += codes[offset : offset + len(hashes)]
    lengths = np.fromiter((len(text) for text in padded), np.int64, len(padded))
    # The last shingles that begin in a text run into the next one.
    inside = np.ones(len(hashes), dtype=bool)
    ends = np.cumsum(lengths)[:-1]
    for back in range(1, SHINGLE):
        inside[ends - back] = False
    starts = np.concatenate([[0], np.cumsum(lengths - SHINGLE + 1)])
    return Shingles(mix(hashes[inside]), starts)


def shingle_hashes(texts: Sequence[str]) -> list[Hashes]:
    """Return the shingles of each text as an array of its own."""
    found = shingles(texts)
    return np.split(found.hashes, found.starts[1:-1]) if len(texts) else []


def mix(hashes: Hashes) -> Hashes:
    """Spread the bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = hashes ^ (hashes >> np.uint64(31))
    return mixed


def distinct(values: NDArray[T]) -> NDArray[T]:
    """Return the values sorted and without repeats (numpy's own hashes them: five times slower)."""
    ordered = np.sort(values)
    return (
        ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(values) else ordered
    )


def pieces(sizes: Places, most: int = PIECE) -> Iterator[slice]:
    """Cut a row of things into runs whose sizes add up to ``most`` or less, or that hold one."""
    ends = np.cumsum(sizes)
    at = 0
    while at < len(sizes):
        before = int(ends[at - 1]) if at else 0
        end = max(at + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(at, end)
        at = end


def jaccard(a: Hashes, b: Hashes) -> float:
    """Return |a ∩ b| / |a ∪ b| of two sorted arrays without repeats."""
    if min(len(a), len(b)) == 0:
        return 0.0
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)


@dataclass(frozen=True, slots=True)
class Sets:
    """The shingle sets of some texts, end to end: text i has ``members[starts[i]:starts[i + 1]]``.

    A member is the text's place times ``len(known)`` plus the shingle's place in ``known``, so all
    members are in ascending order.
    """

    members: Places
    starts: Places
    known: Hashes

    @property
    def sizes(self) -> Places:
        """For each text, how many different shingles it has."""
        return np.diff(self.starts)


def as_sets(raw: Shingles, weights: Callable[[Hashes], Places] | None = None) -> Sets:
    """Return the shingles of each text without repeats, by hash, or by weight and then hash."""
    known, ranks = np.unique(raw.hashes, return_inverse=True)
    if weights is not None:
        order = np.argsort(weights(known), kind="stable")
        known, ranks = known[order], np.argsort(order)[ranks]
    members = distinct(raw.owners * len(known) + ranks)
    starts = np.searchsorted(members, np.arange(len(raw.starts)) * len(known))
    return Sets(members, starts, known)


def similarities(
    texts: Sequence[str], lengths: Places, a: Places, b: Places
) -> NDArray[np.float64]:
    """Return the exact Jaccard similarity of the texts at ``a[i]`` and ``b[i]``, for every i.

    ``texts`` are normalised, ``lengths`` are theirs in characters.
    """
    found = np.empty(len(a))
    for piece in pieces(lengths[a] + lengths[b] + SHINGLE):
        found[piece] = _similarities(texts, a[piece], b[piece])
    return found


def _similarities(texts: Sequence[str], a: Places, b: Places) -> NDArray[np.float64]:
    used, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    left, right = places[: len(a)], places[len(a) :]
    sets = as_sets(shingles([texts[at] for at in used]))
    counts = sets.sizes[left]
    pair = np.repeat(np.arange(len(a)), counts)
    inside = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    members = sets.members[sets.starts[left][pair] + inside]
    wanted = members + (right - left)[pair] * len(sets.known)
    at = np.minimum(np.searchsorted(sets.members, wanted), len(sets.members) - 1)
    common = np.bincount(pair[sets.members[at] == wanted], minlength=len(a))
    similar: NDArray[np.float64] = common / (counts + sets.sizes[right] - common)
    return similar
