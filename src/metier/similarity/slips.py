"""Short texts that are equal but for one slip: where one typing error hides a resent message.

One wrong letter changes ten shingles, which is more than a short text can spare at a Jaccard
similarity of 0.9. Two texts differ by one slip when they have the same words, but for

    one word with a letter left out, doubled or added, or with two neighbours swapped
    one word more, at the beginning or at the end

Words with digits never count: another number is another message. Across lists (for leakage) all
numbers and placeholders are the same, since a typing error beside an order number can keep it from
being recognised. Every such pair is found: texts are sorted by what is left of them without each of
their words.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from metier.similarity.keys import normalise
from metier.similarity.shingles import Places, similarities

WORDS = range(4, 61)
"""Words a text must have; in longer ones a slip does not count for much anyway."""
LETTERS = 4
"""Letters of a word that lost one: "no" and "not" are different words."""
_NUMBER = re.compile(r"(?:\s*(?:\[[a-z_]+\]|\S*\d\S*))+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
Words = tuple[str, ...]


def one_slip(texts: Sequence[str], *, any_number: bool = False) -> list[tuple[int, int, float]]:
    """Return the pairs ``(i, j, Jaccard similarity)``, i < j, that differ by one slip or only in
    punctuation; of texts that are equal after normalisation, the first.

    With ``any_number``, runs of words with digits and of placeholders are all the same word.
    """
    normal = [normalise(text) for text in texts]
    first: dict[str, int] = {}
    for at, text in enumerate(normal):
        first.setdefault(text, at)
    words = {
        at: found for text, at in first.items() if len(found := _words(text, any_number)) in WORDS
    }
    pairs = sorted({(min(a, b), max(a, b)) for a, b in _pairs(words)})
    if not pairs:
        return []
    places: Places = np.array(pairs, dtype=np.int64)
    lengths = np.fromiter((len(text) for text in normal), np.int64, len(normal))
    similar = similarities(normal, lengths, places[:, 0], places[:, 1])
    return [(a, b, float(s)) for (a, b), s in zip(pairs, similar, strict=True)]


def slips_across(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int, float]]:
    """Return pairs of ``left[i]`` and ``right[j]`` that differ by one slip, whatever the numbers.

    Sorted by j, then i. Equal texts count by the first of them; texts on both lists do not count.
    """
    cut = len(left)
    pairs = [
        (i, j - cut, s) for i, j, s in one_slip([*left, *right], any_number=True) if i < cut <= j
    ]
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def is_slip(one: str, other: str) -> bool:
    """Whether two words are one slip apart: a letter more or less, or two neighbours swapped."""
    short, long = sorted((one, other), key=len)
    if any(letter.isdigit() for letter in one + other):
        return False
    at = next((n for n, letter in enumerate(short) if letter != long[n]), len(short))
    if len(long) == len(short) + 1:
        return len(long) >= LETTERS and short[at:] == long[at + 1 :]
    swapped = short[:at] + short[at : at + 2][::-1] + short[at + 2 :]
    return short != long == swapped


def _words(text: str, any_number: bool) -> Words:
    return tuple(_WORD.findall(_NUMBER.sub(" numberword ", text) if any_number else text))


def _pairs(words: dict[int, Words]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of texts that differ by one slip."""
    keys, owners, places = array("q"), array("q"), array("q")
    for owner, found in words.items():
        for place, key in enumerate(_keys(found)):
            keys.append(key)
            owners.append(owner)
            places.append(place)
    order = np.argsort(np.frombuffer(keys, np.int64), kind="stable") if keys else np.zeros(0, int)
    ordered = np.frombuffer(keys, np.int64)[order] if keys else order
    edges = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if keys else order
    ends = np.append(edges[1:], len(order))
    shared = ends - edges > 1
    for start, end in zip(edges[shared], ends[shared], strict=True) if keys else ():
        yield from _alike([(owners[at], places[at]) for at in order[start:end]], words)


def _keys(words: Words) -> Iterator[int]:
    """Yield a key of the text without each of its words, then two of all of it."""
    before, after = [0], [0]
    for word in words:
        before.append(hash((before[-1], word)))
    for word in reversed(words):
        after.append(hash((after[-1], word)))
    count = len(words)
    for place in range(count):
        yield hash((before[place], after[count - place - 1]))
    yield hash((before[-1], after[0]))
    yield hash((before[0], after[-1]))


def _alike(
    members: Sequence[tuple[int, int]], words: dict[int, Words]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs among texts that are the same without one word (or as they are)."""
    whole = [owner for owner, place in members if place >= len(words[owner])]
    cut = [(owner, words[owner][place]) for owner, place in members if place < len(words[owner])]
    for owner in whole[1:]:
        if owner != whole[0]:
            yield whole[0], owner  # only punctuation is different
    for owner, word in cut:
        if whole and whole[0] != owner and not any(letter.isdigit() for letter in word):
            yield whole[0], owner
    near: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for owner, word in cut:
        for variant in {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}:
            near[variant].append((owner, word))
    for likes in near.values():
        for at, (owner, word) in enumerate(likes):
            for other, twin in likes[:at]:
                if owner != other and is_slip(word, twin):
                    yield other, owner
