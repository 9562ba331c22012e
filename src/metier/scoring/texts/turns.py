"""Whole conversations, from the grades of their turns.

With ``[evaluate] turns = "every"`` each supervised assistant turn is an item, answered after the
turns that really came before it. The task's metrics then are means over turns; those here take one
value per conversation, so that a long one weighs no more than a short one.

    conversation_mean    mean of its turns
    conversation_worst   its worst turn
    conversation_pass    1 when every turn reaches the threshold
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from metier.core.types import Score
from metier.scoring.base import Measured, Proportion, mean_statistic
from metier.scoring.registry import metrics, scorers
from metier.scoring.statistics.bootstrap import Sums
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric

THRESHOLD = 0.5
GRADE = "token_f1"
NO_TURNS = 'no item is a turn of a conversation: set [evaluate] turns = "every"'


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation: its turns in order, and the grade of each (0 to 1)."""

    turns: tuple[Score, ...]
    grades: tuple[float, ...]

    @property
    def record(self) -> Score:
        """The first turn, which stands for the conversation where clusters are drawn."""
        return self.turns[0]


def conversations(records: Sequence[Score], grade: str = GRADE) -> list[Talk]:
    """Return the conversations that records are turns of, in the order of their first record.

    ``grade`` names a scorer; turns it cannot grade (no reference) are left out. A turn without a
    reply is graded like an empty one.
    """
    scorer = scorers.make(grade)
    found: dict[str, list[tuple[Score, float]]] = {}
    for record in records:
        name = record.detail.get("conversation")
        value = scorer(record).value if isinstance(name, str) else None
        if isinstance(name, str) and value is not None:
            found.setdefault(name, []).append((record, value))
    return [_talk(turns) for turns in found.values()]


def _talk(graded: list[tuple[Score, float]]) -> Talk:
    graded.sort(key=lambda pair: int(pair[0].detail.get("turn") or 0))
    return Talk(tuple(one for one, _ in graded), tuple(value for _, value in graded))


def _over_conversations(
    grade: str, value: Callable[[Sequence[float]], float]
) -> Callable[[Sequence[Score]], Sums]:
    def build(records: Sequence[Score]) -> Sums:
        talks = conversations(records, grade)
        found = mean_statistic([t.record for t in talks], [value(t.grades) for t in talks])
        if talks:
            return found
        why = NO_TURNS if not any("turn" in r.detail for r in records) else "no turn can be graded"
        return replace(found, warnings=(*found.warnings, why))

    return build


@metrics.register("conversation_mean")
def conversation_mean(grade: str = GRADE) -> Metric:
    """Mean over conversations of the mean grade of their turns."""
    return Measured(metric_info("conversation_mean"), _over_conversations(grade, fmean))


@metrics.register("conversation_worst")
def conversation_worst(grade: str = GRADE) -> Metric:
    """Mean over conversations of the grade of their worst turn."""
    return Measured(metric_info("conversation_worst"), _over_conversations(grade, min))


@metrics.register("conversation_pass")
def conversation_pass(grade: str = GRADE, threshold: float = THRESHOLD) -> Metric:
    """Share of conversations whose every turn is graded at least ``threshold``."""
    build = _over_conversations(grade, lambda grades: float(min(grades) >= threshold))
    return Proportion(metric_info("conversation_pass"), build)
