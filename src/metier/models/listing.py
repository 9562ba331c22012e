"""The grammar of a list of labels: known ones, each once, with separators between them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

from metier.core.types import digest
from metier.models.prompt import NONE, SEPARATOR

MOST_LABELS = 24
"""A multilabel reply ends here at the latest."""
LABEL_TOKENS = 16
"""Tokens that are allowed for each of them, on average."""


@dataclass(frozen=True)
class LabelList:
    """What a multilabel reply may look like while it is written (a ``choosing.Grammar``).

    ``written`` are the labels as they are spoken, all different.
    """

    written: tuple[str, ...]

    @property
    def key(self) -> str:
        """What stands for this grammar in a cache."""
        return digest(sorted(self.written))

    def fits(self, text: str) -> bool:
        """Whether the text can still become a list."""
        *before, last = text.split(SEPARATOR)
        if not self._distinct(before) or len(before) >= MOST_LABELS:
            return False
        if not before and NONE.startswith(last):
            return True
        for cut in range(1, len(SEPARATOR)):  # a separator that has only begun
            begun = SEPARATOR[:cut]
            if last.endswith(begun) and self._distinct([*before, last[:-cut]]):
                return True
        return any(one not in before for one in self._beginning(last))

    def whole(self, text: str) -> bool:
        """Whether the list may end here."""
        return text == NONE or self._distinct(text.split(SEPARATOR))

    def said(self, text: str) -> list[str]:
        """Return the labels of a list that may have been cut short."""
        parts = text.split(SEPARATOR)
        return [one for one in dict.fromkeys(parts) if one in self._known]

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.written)

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.written)

    def _beginning(self, text: str) -> list[str]:
        """Return up to MOST_LABELS + 1 labels that begin with ``text``: one of them is unsaid."""
        start = bisect_left(self._sorted, text)
        near = self._sorted[start : start + MOST_LABELS + 1]
        return [one for one in near if one.startswith(text)]

    def _distinct(self, parts: list[str]) -> bool:
        return len(set(parts)) == len(parts) and all(one in self._known for one in parts)
