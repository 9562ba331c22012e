"""What pattern recognisers are made of: finders, each with a cheap test whether it can find."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from metier.privacy.types import Finding

Finder = Callable[[str], Iterator[Finding]]
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Patterns:
    """A recogniser made of finders that yield findings in order; of two kinds of finders, those
    ``of_digits`` are asked only about text with a digit in it."""

    name: str
    kinds: frozenset[str]
    languages: frozenset[str]
    of_any: tuple[Finder, ...] = ()
    of_digits: tuple[Finder, ...] = ()

    def find(self, text: str) -> Iterator[Finding]:
        """Yield what each finder finds, one finder after the other."""
        for finder in self.of_any:
            yield from finder(text)
        if self.of_digits and _DIGIT.search(text):
            for finder in self.of_digits:
                yield from finder(text)


@dataclass(frozen=True, slots=True)
class FirstCome:
    """A recogniser whose findings do not overlap: the finder that comes first has them."""

    patterns: Patterns

    @property
    def name(self) -> str:
        """The name of what it is made of."""
        return self.patterns.name

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it may find."""
        return self.patterns.kinds

    @property
    def languages(self) -> frozenset[str]:
        """The languages it reads."""
        return self.patterns.languages

    def find(self, text: str) -> list[Finding]:
        """Return findings in order of position."""
        taken: list[Finding] = []
        for found in self.patterns.find(text):
            place = bisect_left(taken, found.start, key=_start)
            free_before = place == 0 or taken[place - 1].end <= found.start
            free_after = place == len(taken) or found.end <= taken[place].start
            if free_before and free_after:
                taken.insert(place, found)
        return taken


def _start(found: Finding) -> int:
    return found.start
