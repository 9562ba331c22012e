"""Book: the surrogates of one scope (a record, a group or the project), both ways.

    book.put(Assigned("person", "Smith", "Kelbrook"))
    book.restore("Dear Kelbrook, ...")       # "Dear Smith, ..."

A text is read as runs of word characters. A surrogate stands in a text where its own characters
stand and the run before and after ends there; where two begin at one place, the longer one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from metier.privacy.operators import canonical

RUN = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Assigned:
    """What stands for what: ``surrogate`` for ``original``, an identifier of this kind."""

    kind: str
    original: str
    surrogate: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a known surrogate stands in a text."""

    start: int
    end: int
    assigned: Assigned


@dataclass(slots=True)
class Book:
    """Assignments of one scope; no two originals share a surrogate."""

    forward: dict[tuple[str, str], str] = field(default_factory=dict)
    back: dict[str, Assigned] = field(default_factory=dict)
    bases: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, canonical form) -> the surrogate before it took the case and layout of its place."""
    runs: set[str] = field(default_factory=set)
    """Runs of all surrogates, in one case."""
    _starts: dict[str, list[str]] = field(default_factory=dict)

    def put(self, assigned: Assigned) -> None:
        """Take in an assignment; of two for one original the first counts."""
        key = (assigned.kind, assigned.original)
        if key in self.forward or assigned.surrogate in self.back:
            return
        self.forward[key] = assigned.surrogate
        self.bases.setdefault((assigned.kind, canonical(assigned.original)), assigned.surrogate)
        self.back[assigned.surrogate] = assigned
        runs = runs_of(assigned.surrogate)
        self.runs |= runs
        first = RUN.search(assigned.surrogate)
        if first:
            surfaces = self._starts.setdefault(first.group(), [])
            surfaces.append(assigned.surrogate)
            surfaces.sort(key=len, reverse=True)

    def drop(self, kind: str, original: str) -> None:
        """Forget an assignment."""
        surrogate = self.forward.pop((kind, original))
        del self.back[surrogate]
        first = RUN.search(surrogate)
        if first:
            self._starts[first.group()].remove(surrogate)

    def entries(self) -> list[Assigned]:
        """All assignments, in the order they were made."""
        return list(self.back.values())

    def places(self, text: str) -> Iterator[Place]:
        """Yield where surrogates stand, from left to right, without overlaps."""
        at = 0
        for run in RUN.finditer(text) if self._starts else ():
            for surface in self._starts.get(run.group(), ()):
                start = run.start() - lead_of(surface)
                end = start + len(surface)
                if start >= at and text.startswith(surface, start) and _ends(text, surface, end):
                    yield Place(start, end, self.back[surface])
                    at = end
                    break

    def restore(self, text: str, write: Callable[[str], str] = str) -> str:
        """Put the originals back, in one pass; ``write`` is applied to each (e.g. to escape it)."""
        return rewritten(
            text, [(p.start, p.end, write(p.assigned.original)) for p in self.places(text)]
        )

    def __len__(self) -> int:
        return len(self.back)


def rewritten(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Replace stretches (start, end, new text), which come in order and do not overlap."""
    pieces, at = [], 0
    for start, end, new in edits:
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def runs_of(text: str) -> set[str]:
    """Return the runs of word characters in a text, in one case."""
    return set(RUN.findall(text.casefold()))


def lead_of(surface: str) -> int:
    """Return how many characters stand before a surrogate's first run."""
    found = RUN.search(surface)
    return found.start() if found else 0


def _ends(text: str, surface: str, end: int) -> bool:
    """Whether the run that the surrogate ends in ends there, too."""
    return not (_is_word(surface[-1:]) and _is_word(text[end : end + 1]))


def _is_word(char: str) -> bool:
    return RUN.fullmatch(char) is not None
