"""What tells one set of texts from another: words and short phrases, by log-odds.

    terms = [terms_of(text) for text in texts]
    distinguishing(terms[:20], terms[20:])[0]    # Term("invoice for parcel", inside=14, outside=1)

A term counts once per text. Source: Monroe, Colaresi and Quinn (2008), Fightin' Words, Political
Analysis 16(4), eq. (16), (19) and (22), with the whole collection as the informative prior; the
odds are those of a text to hold the term, so the variance has the terms of both outcomes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import log, sqrt

TOKEN = re.compile(r"\[[A-Z][A-Z_ ]*\]|[^\W_]+(?:['’-][^\W_]+)*")
_FUNCTION = """
    a about after all also am an and any are as at be because been before being both but by can
    could did do does doing done for from had has have having he her here him his how i if in into
    is it its just may me might more most much must my no nor not of off on once only or other our
    out over own shall she should so some such than that the their them then there these they this
    those though through to too under until up upon us very was we were what when where which while
    who whom whose why will with would yes yet you your i'm i've i'd i'll it's don't
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
"""English only: another language's are caught by how many texts hold them."""
LONGEST = 3
PRIOR = 10.0
"""Texts that the prior is worth."""
SAME = 0.8
"""A phrase in at least this share of the texts that hold one of its words stands for the word."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term in ``inside`` of the texts of one set and ``outside`` of the other's; ``z`` is the
    log-odds over its standard error, above 0 where it speaks for the first set."""

    term: str
    inside: int
    outside: int
    log_odds: float
    z: float


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; a placeholder like ``[NAME]`` stays one word."""
    found = TOKEN.findall(text)
    return [word if word.startswith("[") else word.casefold() for word in found]


def terms_of(text: str, longest: int = LONGEST) -> frozenset[str]:
    """Return the words and phrases of up to ``longest`` words of a text.

    A term neither begins nor ends with a function word ("the", "of"), and is no lone number.
    """
    words, found = words_of(text), set()
    for start, first in enumerate(words):
        if first in FUNCTION_WORDS:
            continue
        for end in range(start + 1, min(start + longest, len(words)) + 1):
            if words[end - 1] not in FUNCTION_WORDS:
                found.add(" ".join(words[start:end]))
    return frozenset(term for term in found if not term.isdigit() and len(term) > 1)


def distinguishing(
    inside: Sequence[Set[str]], outside: Sequence[Set[str]], *, least: int = 3
) -> list[Term]:
    """Return the terms of the texts ``inside``, the most telling first; ties in order of letters.

    A term must stand in ``least`` texts inside. A phrase that nearly always comes along with a
    shorter term takes its place.
    """
    here, there = (Counter(term for text in side for term in text) for side in (inside, outside))
    sizes = len(inside), len(outside)
    kept = _whole_phrases({term: n for term, n in here.items() if n >= least})
    found = [_term(term, (here[term], there[term]), sizes) for term in kept]
    return sorted(found, key=lambda one: (-one.z, one.term))


def _term(term: str, counts: tuple[int, int], sizes: tuple[int, int]) -> Term:
    share = (sum(counts) + 0.5) / (sum(sizes) + 1)
    held = [count + PRIOR * share for count in counts]
    lacking = [n + PRIOR - one for n, one in zip(sizes, held, strict=True)]
    log_odds = log(held[0] / lacking[0]) - log(held[1] / lacking[1])
    error = sqrt(sum(1 / one for one in (*held, *lacking)))
    return Term(term, counts[0], counts[1], log_odds, log_odds / error)


def _whole_phrases(counts: dict[str, int]) -> list[str]:
    """Drop a term where a longer one holds it and is nearly as frequent."""
    swallowed: set[str] = set()
    for term, count in counts.items():
        words = term.split(" ")
        spans = [
            " ".join(words[a:b])
            for a in range(len(words))
            for b in range(a + 1, len(words) + 1)
            if b - a < len(words)
        ]
        swallowed.update(part for part in spans if count >= SAME * counts.get(part, 0) > 0)
    return [term for term in counts if term not in swallowed]
