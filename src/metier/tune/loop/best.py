"""Which validation of a run was the best so far: by the task's metric, or by the loss.

A metric over some dozens of replies is coarse, so a difference smaller than the standard error of
the highest value so far counts as a tie, and of tied ones the lower validation loss wins (the one
standard error rule, Breiman et al. 1984, Classification and Regression Trees, section 3.4.3).
Everything is read off the logged validations: a resumed run comes to the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOSS = "loss"
PREFIX = "eval_"
NORMAL_95 = 1.959964
Entry = Mapping[str, Any]
"""One logged validation: ``eval_loss``, ``step``, ``eval_<metric>`` and its ``_low``, ``_high``."""


@dataclass(frozen=True, slots=True)
class By:
    """What validations are compared by: a metric's name, or the loss alone."""

    metric: str = LOSS
    higher_is_better: bool = True

    def best(self, history: Sequence[Entry]) -> int | None:
        """Return the place of the best among the validations of ``history`` (None: there is none).

        A later one must be better, not only as good.
        """
        best: int | None = None
        entries = validations(history)
        for at, entry in enumerate(entries):
            if best is None or self._replaces(entry, entries[best], entries[: at + 1]):
                best = at
        return best

    def _replaces(self, new: Entry, best: Entry, seen: Sequence[Entry]) -> bool:
        lower = bool(new["eval_loss"] < best["eval_loss"])
        if self.metric == LOSS:
            return lower
        top = max(seen, key=self._value)
        floor = self._value(top) - self._error(top)
        if self._value(new) < floor:
            return False
        return lower or self._value(best) < floor

    def _value(self, entry: Entry) -> float:
        value = entry.get(PREFIX + self.metric, math.nan)
        if math.isnan(value):
            return -math.inf
        return float(value) if self.higher_is_better else -float(value)

    def _error(self, entry: Entry) -> float:
        low, high = (entry.get(f"{PREFIX}{self.metric}_{end}", math.nan) for end in ("low", "high"))
        error = float(high - low) / (2 * NORMAL_95)
        return error if math.isfinite(error) else 0.0


def validations(history: Sequence[Entry]) -> list[Entry]:
    """Return the validations among what was logged after the first step."""
    return [entry for entry in history if "eval_loss" in entry and entry.get("step", 1) > 0]


def since_best(history: Sequence[Entry], by: By) -> int:
    """Return how many validations in a row brought no new best."""
    best = by.best(history)
    return 0 if best is None else len(validations(history)) - 1 - best


def is_best(history: Sequence[Entry], by: By) -> bool:
    """Say whether the newest validation is the best so far."""
    best = by.best(history)
    return best is not None and best == len(validations(history)) - 1
