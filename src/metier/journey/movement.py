"""Movement: what each target did from cycle to cycle, and how many failures came back.

Each cycle is compared with the one before it on the same sealed items, paired; where the test sets
differ there is no comparison, and none is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Target
from metier.core.records import Cycle, EvaluationReport
from metier.core.types import Estimate
from metier.journey.session import Session, make_bench
from metier.scoring import primary_metric
from metier.scoring.goals.targets import describe, find_estimate

if TYPE_CHECKING:
    from metier.evaluate.compare import Comparison
    from metier.evaluate.recurrence import Recurrence


@dataclass(frozen=True, slots=True)
class Point:
    """A target's metric in one cycle. ``change`` is the paired difference to the cycle before
    (None: the first, or another test set)."""

    cycle: int
    evaluation_id: str
    estimate: Estimate
    change: Estimate | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What one target's metric did over the cycles."""

    about: str
    metric: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Movement:
    """All targets over all finished cycles; ``recurrences`` has, by cycle, how many of the
    failures that were collected before it the cycle's model still gets wrong."""

    targets: tuple[Moved, ...]
    recurrences: Mapping[int, Mapping[str, Recurrence]]


def movement(session: Session) -> Movement:
    """Compare the cycles that were evaluated, target by target."""
    from metier.evaluate.compare import Comparison

    found = _evaluated(session)
    if not found:
        return Movement((), {})
    comparison = Comparison(make_bench(session, found[-1][1].version_id))
    targets = _targets(session)
    moved = [_moved(target, found, comparison) for target in targets]
    again = {cycle.number: _recurrence(session, cycle) for cycle, _ in found if cycle.regression_id}
    return Movement(tuple(one for one in moved if one.points), again)


def _evaluated(session: Session) -> list[tuple[Cycle, EvaluationReport]]:
    workspace = session.workspace
    return [
        (cycle, ledger.get_evaluation(workspace, cycle.evaluation_id))
        for cycle in ledger.list_cycles(workspace)
        if cycle.evaluation_id is not None
    ]


def _targets(session: Session) -> list[Target]:
    """What is followed: every target and constraint once, and the primary metric in any case."""
    objective = session.project.objective
    first = Target(metric=primary_metric(objective), at_least=0.0)
    found = {describe(one): one for one in (*objective.target, *objective.constraint)}
    return list({describe(first): first, **found}.values())


def _moved(
    target: Target, found: Sequence[tuple[Cycle, EvaluationReport]], comparison: Comparison
) -> Moved:
    points: list[Point] = []
    before: EvaluationReport | None = None
    for cycle, report in found:
        estimate = find_estimate(report, target)
        if estimate is None:
            continue
        change = None if before is None else _change(target, report, before, comparison)
        points.append(Point(cycle.number, report.id, estimate, change))
        before = report
    return Moved(describe(target), target.metric, tuple(points))


def _change(
    target: Target, now: EvaluationReport, before: EvaluationReport, comparison: Comparison
) -> Estimate | None:
    try:
        return comparison(target, now, before, 1.0)
    except InputError:  # another test set: nothing to compare
        return None


def _recurrence(session: Session, cycle: Cycle) -> Mapping[str, Recurrence]:
    from metier.evaluate.recurrence import recurrence

    predictions = ledger.load_predictions(session.workspace, cycle.regression_id or "")
    return recurrence(session.project.objective, predictions)
