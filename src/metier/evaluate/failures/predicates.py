"""Plain statements about an input that are true or not: the words slices and failures are told in.

    facts = [facts_of(item.example) for item in items]
    traits(facts)       # Trait("has more than 40 words"), Trait("says 'refund'"), ...

A trait speaks of the input (and, where asked, of the expected label), never of the reply, so that
it can be told before a reply is given, and new data can be collected by it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metier.core.records import CASE_SLICE
from metier.core.types import Example, Json
from metier.similarity.terms import terms_of, words_of

MOST_TERMS = 300
COMMON = 0.5
"""A term in a larger share of the texts tells nothing apart."""
CROWD = 3
"""A term must come from so many independent groups: what one person alone writes is not shown."""
SHOWN_LABEL = 60
MANY = 10**9


@dataclass(frozen=True, slots=True)
class Facts:
    """What traits read of one input. ``expected`` holds the expected labels by field."""

    group: str
    words: int
    terms: frozenset[str]
    turns: int
    source: str
    script: str
    marks: frozenset[str]
    slices: frozenset[tuple[str, str]]
    expected: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Trait:
    """A statement that completes "when the input …", e.g. ``says 'refund'``; ``kind`` says what it
    is about: declared, length, turns, source, script, form, expected or term."""

    kind: str
    words: str
    holds: Callable[[Facts], bool]

    def mask(self, facts: Sequence[Facts]) -> NDArray[np.bool_]:
        """Return for each input whether it is true."""
        return np.asarray([self.holds(one) for one in facts], dtype=bool)


def facts_of(example: Example, expected: Json = None, fields: Sequence[str] = ()) -> Facts:
    """Read the facts of one example; ``fields`` are those with labels ("" for the whole)."""
    text = example.conversation.last_user or example.conversation.text
    words = words_of(text)
    return Facts(
        group=example.group or example.id,
        words=len(words),
        terms=terms_of(text),
        turns=sum(message.role == "user" for message in example.conversation.messages),
        source=example.provenance.source,
        script=script_of(text),
        marks=frozenset(_marks(text)),
        slices=frozenset(pair for pair in example.slices.items() if pair[0] != CASE_SLICE),
        expected=frozenset((name, one) for name in fields for one in _labels(expected, name)),
    )


def traits(facts: Sequence[Facts], *, least: int = 20) -> list[Trait]:
    """Return the traits that are true of ``least`` inputs or more, and not of all but fewer."""
    found = [
        *declared_traits(facts),
        *_lengths(facts),
        *_turns(facts),
        *_simple(facts),
        *_expected(facts),
        *term_traits(facts, least=least),
    ]
    return [trait for trait in found if least <= trait.mask(facts).sum() <= len(facts) - least]


def declared_traits(facts: Sequence[Facts]) -> list[Trait]:
    """Return one trait per value of each slice that the data's sources declare, sorted."""
    pairs = sorted({pair for one in facts for pair in one.slices})
    return [
        Trait("declared", f"has {key} = {value}", _holds("slices", (key, value)))
        for key, value in pairs
    ]


def term_traits(facts: Sequence[Facts], *, least: int, most: int = MOST_TERMS) -> list[Trait]:
    """Return traits on the most frequent terms that ``least`` inputs hold, and under half do."""
    counts = Counter(term for one in facts for term in one.terms)
    groups: dict[str, set[str]] = {term: set() for term, n in counts.items() if n >= least}
    for one in facts:
        for term in one.terms & groups.keys():
            groups[term].add(one.group)
    kept = [
        term
        for term, who in groups.items()
        if len(who) >= CROWD and counts[term] <= COMMON * len(facts)
    ]
    kept.sort(key=lambda term: (-counts[term], term))
    return [term_trait(term) for term in kept[:most]]


def term_trait(term: str) -> Trait:
    """Return the trait "says 'term'"."""
    return Trait("term", f"says {term!r}", _holds("terms", term))


def script_of(text: str) -> str:
    """Return the script most letters are of, as Unicode names it: ``Latin``, ``Cyrillic``, ``Cjk``;
    "" without letters."""
    counts = Counter(_script(letter) for letter in text[:2_000] if letter.isalpha())
    return max(sorted(counts), key=lambda name: counts[name]) if counts else ""


def _script(letter: str) -> str:
    return "Latin" if letter.isascii() else unicodedata.name(letter, "?").partition(" ")[0].title()


def _marks(text: str) -> list[str]:
    """What can be seen of a text without reading it."""
    letters = [letter for letter in text if letter.isalpha()]
    upper = sum(letter.isupper() for letter in letters)
    found = {
        "asks a question (has a question mark)": "?" in text,
        "holds a digit": any(letter.isdigit() for letter in text),
        "holds a placeholder such as [NAME]": any(w.startswith("[") for w in words_of(text)),
        "has several lines": "\n" in text.strip(),
        "is written in capitals": len(letters) >= 8 and upper > 0.6 * len(letters),
        "has no capital letter": len(letters) >= 8 and upper == 0,
    }
    return [words for words, true in found.items() if true]


def _labels(expected: Json, field: str) -> list[str]:
    value = expected.get(field) if field and isinstance(expected, Mapping) else expected
    values = value if isinstance(value, list | tuple) else [value]
    named = [one.get("label") if isinstance(one, Mapping) else one for one in values]
    return [str(one) for one in named if isinstance(one, str | int | bool)]


def _lengths(facts: Sequence[Facts]) -> list[Trait]:
    """Short and long: the quarter at either end."""
    low, high = np.quantile([one.words for one in facts], [0.25, 0.75]) if facts else (0, 0)
    short, long = int(low), int(high)
    return [
        Trait("length", f"has at most {short} words", _within("words", 0, short)),
        Trait("length", f"has more than {long} words", _within("words", long + 1, MANY)),
    ]


def _turns(facts: Sequence[Facts]) -> list[Trait]:
    named = {"one turn": (1, 1), "two or three turns": (2, 3), "four turns or more": (4, MANY)}
    return [
        Trait("turns", f"comes with {words}", _within("turns", low, high))
        for words, (low, high) in named.items()
    ]


def _simple(facts: Sequence[Facts]) -> list[Trait]:
    sources = sorted({one.source for one in facts})
    scripts = sorted({one.script for one in facts} - {""})
    marks = sorted({mark for one in facts for mark in one.marks})
    return [
        *(Trait("source", f"comes from {name}", _same("source", name)) for name in sources),
        *(Trait("script", f"is written in {s} letters", _same("script", s)) for s in scripts),
        *(Trait("form", mark, _holds("marks", mark)) for mark in marks),
    ]


def _expected(facts: Sequence[Facts]) -> list[Trait]:
    pairs = sorted({pair for one in facts for pair in one.expected})
    return [Trait("expected", f"wants {_named(*pair)}", _holds("expected", pair)) for pair in pairs]


def _named(field: str, label: str) -> str:
    shown = label if len(label) <= SHOWN_LABEL else label[: SHOWN_LABEL - 1] + "…"
    return f"{field} {shown!r}" if field else repr(shown)


def _same(attribute: str, value: str) -> Callable[[Facts], bool]:
    return lambda one: bool(getattr(one, attribute) == value)


def _holds(attribute: str, member: object) -> Callable[[Facts], bool]:
    return lambda one: member in getattr(one, attribute)


def _within(attribute: str, low: int, high: int) -> Callable[[Facts], bool]:
    return lambda one: low <= getattr(one, attribute) <= high
