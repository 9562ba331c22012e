"""Boilerplate: headers, footers and disclaimers, learned from how many texts have them.

A line counts when enough different texts begin or end with it (case does not matter; numbers do: a
measured value is no boilerplate). It is cut only from the edges of a text, inwards as long as lines
are such, and never when nothing would be left. Texts of one line teach nothing and are left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from metier.core.steps import Keep, Outcome
from metier.core.types import Example, Json
from metier.data.cleaning.config import BoilerplateConfig
from metier.data.cleaning.rewrite import rewrite, texts_of
from metier.data.cleaning.undone import NOTHING, Undone

BOILERPLATE = "boilerplate"
# How far from either end a line may lie, in lines that are not blank.
EDGE_LINES = 12
LEAST_CHARS = 12


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """The step that cuts boilerplate; ``state`` is the sorted list of lines it learned."""

    config: BoilerplateConfig
    closed: frozenset[str] = frozenset()
    undone: Undone = NOTHING
    name: str = BOILERPLATE

    def fit(self, view: Iterable[Example]) -> list[str]:
        """Learn the lines that enough different texts have at their edges."""
        counts: Counter[str] = Counter()
        seen: set[bytes] = set()
        for example in view:
            for text in texts_of(example, self.closed):
                if "\n" not in text or _is_known(text, seen):
                    continue
                counts.update(_edge_lines(text))
        least = max(self.config.least, self.config.share * len(seen))
        return sorted(line for line, count in counts.items() if count >= least)

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Cut what was learned; nothing is dropped."""
        known = frozenset(state)
        for example in batch:

            def edit(text: str, row: str = example.id) -> list[tuple[str, str]]:
                if not known or "\n" not in text or self.undone.off(BOILERPLATE, row, text):
                    return []
                cut = cut_edges(text, known)
                return [(BOILERPLATE, cut)] if cut != text else []

            yield Keep(*rewrite(example, self.name, edit, self.closed))


def cut_edges(text: str, known: frozenset[str]) -> str:
    """Return ``text`` without the known lines at its beginning and its end."""
    lines = text.split("\n")
    first, last = 0, len(lines)
    while first < last and (not lines[first].strip() or _key(lines[first]) in known):
        first += 1
    while last > first and (not lines[last - 1].strip() or _key(lines[last - 1]) in known):
        last -= 1
    cut_some = any(line.strip() for line in (*lines[:first], *lines[last:]))
    return "\n".join(lines[first:last]) if cut_some and first < last else text


def _edge_lines(text: str) -> set[str]:
    lines = [line for line in text.split("\n") if line.strip()]
    return {_key(line) for line in (*lines[:EDGE_LINES], *lines[-EDGE_LINES:])} - {""}


def _key(line: str) -> str:
    """A line as it is compared; "" for one that is too short to tell anything."""
    line = line.strip()
    return line.casefold() if len(line) >= LEAST_CHARS else ""


def _is_known(text: str, seen: set[bytes]) -> bool:
    """Whether the text came already: copies of one must not make its lines frequent."""
    words = "\n".join(line.strip() for line in text.casefold().split("\n"))
    mark = blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16)
    known = mark.digest() in seen
    seen.add(mark.digest())
    return known
