"""Which examples are shown: the first, the longest, shortened ones, by id, or drawn by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metier.core.errors import InputError, nearest
from metier.tune.inspect.types import Pick, Row


@dataclass(frozen=True, slots=True)
class Choice:
    """How many examples of which kind; ``ids`` names them instead."""

    count: int = 3
    pick: Pick = "first"
    ids: tuple[str, ...] = ()
    seed: int = 0

    @property
    def words(self) -> str:
        """The choice in words."""
        if self.ids:
            return "by id"
        return f"drawn by seed {self.seed}" if self.pick == "drawn" else self.pick


def choose(rows: Sequence[Row], choice: Choice, dropped: Mapping[str, str]) -> list[Row]:
    """Return the chosen rows; ``dropped`` maps ids of rows that are not trained on to the reason.

    Raises InputError for an id that was dropped (saying why), or is not there.
    """
    if choice.ids:
        return _by_id(rows, choice.ids, dropped)
    if choice.pick == "longest":
        ordered = sorted(rows, key=lambda row: len(row.encoded.input_ids), reverse=True)
        return ordered[: choice.count]
    if choice.pick == "truncated":
        return [row for row in rows if row.cut][: choice.count]
    if choice.pick == "drawn":
        count = min(choice.count, len(rows))
        places = np.random.default_rng(choice.seed).choice(len(rows), count, replace=False)
        return [rows[place] for place in sorted(places.tolist())]
    return list(rows[: choice.count])


def _by_id(rows: Sequence[Row], ids: Sequence[str], dropped: Mapping[str, str]) -> list[Row]:
    known = {row.encoded.example_id: row for row in rows}
    for wanted in ids:
        if wanted in dropped:
            raise InputError(
                "the id of an example that is trained on",
                got=f"{wanted}, which is left out: {dropped[wanted]}",
                remedy="mend the row, or ask for another",
            )
        if wanted not in known:
            close = nearest(wanted, known)
            raise InputError("the id of a training example", got=repr(wanted), remedy=close)
    return [known[wanted] for wanted in ids]
