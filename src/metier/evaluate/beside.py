"""What metrics read beside the predictions: the examples asked, and the project's materials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metier.core.ledger import get_version, load_split
from metier.core.objective import Objective
from metier.core.records import EvaluationReport, Prediction
from metier.core.types import CompletionTarget, Example, PreferenceTarget, Score
from metier.evaluate.bench import Bench
from metier.evaluate.turns import every_turn
from metier.scoring import metric_info, task_metrics
from metier.scoring.materials import NOTHING, Materials

Drawn = tuple[list[Score], tuple[str, ...]]
Draw = Callable[[Sequence[Score], Sequence[Prediction]], Drawn]
"""Adds to records the passages that their replies were shown; returns notes, too."""


def _nothing(records: Sequence[Score], predictions: Sequence[Prediction]) -> Drawn:
    return list(records), ()


@dataclass(frozen=True)
class Beside:
    """The examples that were answered, what checks read, and how passages are looked up."""

    examples: Sequence[Example] = ()
    materials: Materials = NOTHING
    draw: Draw = _nothing


ALONE = Beside()


def materials_of(bench: Bench) -> Materials:
    """Return the project's folder, and the replies of the training split."""
    return Materials(bench.workspace.root, lambda: _replies(bench.examples("train")))


def _replies(examples: Sequence[Example]) -> list[str]:
    found = []
    for example in examples:
        if isinstance(example.target, CompletionTarget):
            found.append(example.target.text)
        elif isinstance(example.target, PreferenceTarget):
            found.append(example.target.chosen)
    return found


def asks_for_questions(objective: Objective) -> bool:
    """Whether a metric of the objective judges replies by what was asked."""
    names = task_metrics(objective)
    return any(metric_info(name, objective).needs == "asked" for name in names)


def questions_of(bench: Bench, report: EvaluationReport) -> list[Example]:
    """Return the examples a stored report is about, every turn among them; [] when no metric of
    the objective reads them."""
    if not asks_for_questions(bench.objective):
        return []
    version = get_version(bench.workspace, report.version_id)
    return every_turn(load_split(bench.workspace, version, report.split))
