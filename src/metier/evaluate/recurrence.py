"""Recurrence: how many of the failures that were corrected still fail.

report = evaluate(bench, contender, split="regression")
recurrence(objective, load_predictions(ws, report))["held_back"].share
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core.objective import Objective
from metier.core.records import CASE_SLICE, Prediction
from metier.core.types import Estimate, Json
from metier.scoring import field_kinds
from metier.scoring.statistics.intervals import effective_n, wilson
from metier.similarity import normalise

SIDES = ("learned", "held_back")
CLOSED_TASKS = ("classify", "multilabel", "extract")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Of ``n`` failures that were corrected, ``wrong`` are answered wrongly still.

    ``share`` is wrong / n with Wilson's 95% interval; items of one user count together, and NaN
    stands for a share of nothing.
    """

    n: int
    wrong: int
    share: Estimate


def recurrence(objective: Objective, predictions: Sequence[Prediction]) -> dict[str, Recurrence]:
    """Return the recurrence among "learned" and "held_back" cases, and among "all".

    An answer is wrong when a label, or a field that is no free text, differs from the one that was
    wanted; where the task has none, when the text differs by more than case, spacing and
    punctuation at its ends.
    """
    found = {
        side: [one for one in predictions if one.slices.get(CASE_SLICE) == side] for side in SIDES
    }
    return {
        side: _of(objective, rows) for side, rows in ({**found, "all": list(predictions)}).items()
    }


def still_wrong(objective: Objective, prediction: Prediction) -> bool:
    """Whether an answer differs from the one that was wanted, in what counts for the task."""
    got, wanted = prediction.parsed, prediction.expected
    if prediction.completion.error is not None or got is None:
        return True
    if objective.task != "structured":
        same = _equal if objective.task in CLOSED_TASKS else _alike
        return not same(got, wanted)
    kinds = field_kinds(objective)
    closed = [name for name, kind in kinds.items() if kind != "text"]
    same = _equal if closed else _alike
    return any(not same(_field(got, name), _field(wanted, name)) for name in closed or kinds)


def _of(objective: Objective, predictions: Sequence[Prediction]) -> Recurrence:
    clusters: dict[str, list[bool]] = defaultdict(list)
    for one in predictions:
        clusters[one.cluster or one.id].append(still_wrong(objective, one))
    sums = [sum(rows) for rows in clusters.values()]
    n, wrong = len(predictions), sum(sums)
    if not n:
        nan = math.nan
        nothing = Estimate(nan, nan, nan, 0, 0, method="Wilson", warnings=("no such case",))
        return Recurrence(0, 0, nothing)
    worth = effective_n(sums, [len(rows) for rows in clusters.values()])
    low, high = wilson(wrong / n * worth, worth)
    return Recurrence(n, wrong, Estimate(wrong / n, low, high, n, len(clusters), method="Wilson"))


def _field(answer: Json, name: str) -> Json:
    return answer.get(name) if isinstance(answer, Mapping) else None


def _equal(got: Json, wanted: Json) -> bool:
    """Whether two closed answers are the same; the order of several labels does not count."""
    if isinstance(got, list) and isinstance(wanted, list):
        return sorted(map(repr, got)) == sorted(map(repr, wanted))
    return bool(got == wanted)


def _alike(got: Json, wanted: Json) -> bool:
    if isinstance(got, str) and isinstance(wanted, str):
        return normalise(got) == normalise(wanted)
    return bool(got == wanted)
