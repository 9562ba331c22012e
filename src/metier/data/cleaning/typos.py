"""Typos: rare unknown English words become the frequent word that is one slip away.

Precision first. A word is corrected only if it is all small ASCII letters, at least five, in no
dictionary, rare in the data, and one insertion, deletion, substitution or swap away from exactly
one English word that the data uses, and uses much more often. Inflections, British spellings and
first letters are left alone, and so are texts that are not mostly English. The vocabulary of the
domain protects itself: what several rows have is never corrected.

Dictionary: the 82,765 English words that come with symspellpy (MIT), which are those of SCOWL
(public domain and MIT-like terms) that occur in Google Books Ngrams (CC BY 3.0).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase

from metier.core.errors import ConfigError
from metier.core.steps import Keep, Outcome
from metier.core.types import Example, Json
from metier.data.cleaning.config import TyposConfig
from metier.data.cleaning.rewrite import rewrite, texts_of
from metier.data.cleaning.undone import NOTHING, Undone

TYPOS = "typos"
LEAST_LETTERS = 5
# A word is taken for right when this many times as many rows have it, and this many at least.
TIMES = 5
LEAST_ROWS = 3
# Below this share of known words a text is not English prose.
LEAST_KNOWN = 0.6
LEAST_ADDED, LEAST_REPLACED = 6, 8
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {
    key: (row[place - 1] if place else "") + row[place + 1 : place + 2]
    for row in _ROWS
    for place, key in enumerate(row)
}
_WORDS = "frequency_dictionary_en_82_765.txt"

_WORD = re.compile(r"(?<![\w'’@#/\\.-])[a-z]{5,}(?![\w'’@/\\-]|\.\w)")
_ANY_WORD = re.compile(r"[^\W\d_]+")
# Contractions without their apostrophe are no other words: wasnt is not want.
_CONTRACTIONS = frozenset(
    ["doesnt", "didnt", "wasnt", "werent", "arent", "hasnt", "havent", "hadnt", "wouldnt",
     "couldnt", "shouldnt", "theyre", "theyve", "theyll", "youre", "youve", "youll", "whats",
     "thats", "theres", "heres"]
)  # fmt: skip
# Two spellings of one word, British and American: (ending or part, its other form).
_VARIANTS = (
    ("ae", "e"), ("oe", "e"), ("our", "or"), ("ise", "ize"), ("isi", "izi"), ("isa", "iza"),
    ("yse", "yze"), ("ysi", "yzi"), ("re", "er"), ("ll", "l"), ("pp", "p"), ("ence", "ense"),
    ("ph", "f"), ("gue", "g"), ("mme", "m"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typos:
    """The step that corrects typos; ``state`` maps each wrong word to the right one."""

    config: TyposConfig
    closed: frozenset[str] = frozenset()
    undone: Undone = NOTHING
    name: str = TYPOS

    def fit(self, view: Iterable[Example]) -> dict[str, str]:
        """Learn which words of the data are slips of which others."""
        rows: Counter[str] = Counter()
        named: set[str] = set()
        for example in view:
            words = {
                word for text in texts_of(example, self.closed) for word in _ANY_WORD.findall(text)
            }
            small = {word for word in words if word.islower()}
            rows.update(small)
            named.update(word.lower() for word in words if not word.islower())
        protected = named | {word.lower() for word in self.config.vocabulary}
        return corrections(rows, protected, self.config.protect_from)

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Correct what was learned; nothing is dropped."""
        for example in batch:

            def edit(text: str, row: str = example.id) -> list[tuple[str, str]]:
                if not state or self.undone.off(TYPOS, row, text):
                    return []
                corrected = correct(text, state)
                return [(TYPOS, corrected)] if corrected != text else []

            yield Keep(*rewrite(example, self.name, edit, self.closed))


def corrections(
    rows: Mapping[str, int], protected: Iterable[str], protect_from: int
) -> dict[str, str]:
    """Return wrong word -> right word, sorted; ``rows`` counts the rows that have each word."""
    known, keep = dictionary(), frozenset(protected)
    found = {}
    for word, count in rows.items():
        if count >= protect_from or word in known or word in keep or not _may_be_wrong(word):
            continue
        near = [one for one in one_slip_away(word) if one in known and one in rows]
        right = near[0] if len(near) == 1 else word  # two words that the data uses: a doubt
        if rows[right] < max(LEAST_ROWS, TIMES * count):
            continue
        if _is_slip(word, right) and not _is_variant(word, right) and not _is_form(word, right):
            found[word] = right
    return dict(sorted(found.items()))


def correct(text: str, state: Mapping[str, str]) -> str:
    """Replace the wrong words of ``text``, unless it is not mostly English."""
    words = set(_WORD.findall(text))
    if words.isdisjoint(state) or not _is_english(text, state):
        return text
    return _WORD.sub(lambda found: state.get(found[0], found[0]), text)


def one_slip_away(word: str) -> set[str]:
    """Return what one slip makes of ``word``, but for its first letter.

    Damerau-Levenshtein distance 1; enumerated as in P. Norvig, How to Write a Spelling Corrector
    (2007).
    """
    cuts = [(word[:at], word[at:]) for at in range(1, len(word) + 1)]
    made = {left + right[1:] for left, right in cuts if right}
    made |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    made |= {left + one + right[1:] for left, right in cuts if right for one in ascii_lowercase}
    made |= {left + one + right for left, right in cuts for one in ascii_lowercase}
    return made - {word}


@cache
def dictionary() -> frozenset[str]:
    """The English words that are known to be right. Raises ConfigError without symspellpy."""
    from importlib.resources import files

    try:
        lines = (files("symspellpy") / _WORDS).read_text(encoding="utf-8-sig").split("\n")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ConfigError(
            "symspellpy with its English dictionary, for [data.clean] typos",
            got=str(error),
            remedy='pip install "metier[typos]", or take typos out',
        ) from error
    return frozenset(line.split(" ")[0] for line in lines if line)


def _may_be_wrong(word: str) -> bool:
    if not (len(word) >= LEAST_LETTERS and word.isascii() and word.isalpha()):
        return False
    return word not in _CONTRACTIONS


def _is_slip(word: str, right: str) -> bool:
    """Whether the difference looks like a slip, given how long the words are.

    Two letters swapped are; one more or less, from six letters on; one for another only from eight
    on, and only vowels or keys that lie side by side. Terms of a field differ in the other ways
    (solium, sodium).
    """
    if len(word) != len(right):
        return min(len(word), len(right)) >= LEAST_ADDED
    wrong = [pair for pair in zip(word, right, strict=True) if pair[0] != pair[1]]
    if len(wrong) == 2:
        return True
    typed, meant = wrong[0]
    vowels = {typed, meant} <= set("aeiouy")
    return len(word) >= LEAST_REPLACED and (vowels or meant in _BESIDE.get(typed, ""))


def _is_variant(word: str, right: str) -> bool:
    """Whether the two are spellings of one word."""
    return any(
        right in (word.replace(one, other), word.replace(other, one)) for one, other in _VARIANTS
    )


def _is_form(word: str, right: str) -> bool:
    """Whether one is the other plus a last letter, or they differ in the last letter only."""
    if word[-1] == right[-1] == "s":
        word, right = word[:-1], right[:-1]
    if word == right + right[-1] and right[-1] != "s":
        return False  # a key held too long
    return word[:-1] in (right, right[:-1]) or right[:-1] == word


def _is_english(text: str, state: Mapping[str, str]) -> bool:
    words = [word for word in _ANY_WORD.findall(text) if word.islower()]
    known = dictionary()
    return sum(word in known or word in state for word in words) >= LEAST_KNOWN * len(words)
