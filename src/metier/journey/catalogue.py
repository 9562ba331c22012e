"""The catalogue of metrics, as a person chooses from it: with or without a project at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metier.config import find_project, load_project
from metier.core.errors import NotFound
from metier.core.objective import Objective, TaskKind
from metier.scoring import catalogue, metric_info
from metier.scoring.registry import metrics
from metier.scoring.tasks import possible_metrics, task_metrics
from metier.scoring.types import MetricInfo

Use = Literal["computed", "when listed", "probe", "no", ""]
NEEDS = {
    "answers": "answers and references",
    "asked": "the question beside the answer",
    "timing": "the time each reply took",
    "usage": "token counts",
    "costs": "prices in [costs]",
    "probe": "a measurement of its own, beside the test set",
    "scores": "a score per label (a closed set that was scored, or a scores column)",
    "turns": 'turns of conversations ([evaluate] turns = "every", or a turn column)',
    "first_token": "the time of the first token",
    "handling": "the seconds people spent per item (a handling_s column)",
    "sources": "passages that were retrieved and shown",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One metric. ``use`` is what this project makes of it ("": there is no project), ``names`` how
    targets name it there (``field.metric`` for structured answers)."""

    info: MetricInfo
    range: str
    needs: str
    use: Use
    names: tuple[str, ...] = ()


def list_metrics(folder: Path, task: TaskKind | None = None) -> list[Listed]:
    """Return all metrics in the catalogue's order, third parties' last; with ``task`` only those
    of that task. ``use`` is of the project at or above ``folder``, where there is one."""
    objective = project_objective(folder)
    others = [name for name in metrics if name not in catalogue()]
    infos = [*catalogue().values(), *(metric_info(name) for name in others)]
    wanted = [info for info in infos if task is None or task in info.tasks]
    return [listed(info, objective) for info in wanted]


def show_metric(folder: Path, name: str) -> Listed:
    """Return one metric, also a check of the project. Raises UserError naming the nearest one."""
    objective = project_objective(folder)
    return listed(metric_info(name, objective), objective)


def project_objective(folder: Path) -> Objective | None:
    """Return the objective of the project at or above ``folder``, None where there is none."""
    try:
        path = find_project(folder)
    except NotFound:
        return None
    return load_project(path).objective


def listed(info: MetricInfo, objective: Objective | None) -> Listed:
    """Return a metric with what the objective makes of it."""
    needs = NEEDS.get(info.needs, info.needs)
    if objective is None:
        return Listed(info, info.range, needs, "")
    computed = _called(info.name, task_metrics(objective))
    possible = _called(info.name, possible_metrics(objective))
    use: Use = "computed" if computed else "when listed" if possible else "no"
    if info.kind == "probe" and objective.task in info.tasks:
        use = "probe"
    return Listed(info, info.range, needs, use, computed or possible)


def _called(name: str, known: list[str]) -> tuple[str, ...]:
    plain = name.rpartition(".")[2]
    return tuple(one for one in known if one == name or one.rpartition(".")[2] == plain)
