"""Which metrics exist, and which can be computed for a task. Imports no numpy.

The catalogue is ``metrics.toml`` beside this file. Structured tasks measure each field under
``field.metric``: closed sets as labels, lists of a closed set as label sets, strings as texts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from metier.core.errors import ConfigError, UserError, nearest
from metier.core.objective import Objective, Target, TaskKind
from metier.scoring.registry import metrics
from metier.scoring.types import MetricInfo

FieldKind = Literal["label", "labels", "text", "value"]
_FIELD_TASKS: dict[FieldKind, TaskKind] = {
    "label": "classify",
    "labels": "multilabel",
    "text": "answer",
    "value": "answer",
}
_PRIMARY: dict[TaskKind, str] = {
    "classify": "f1_macro",
    "multilabel": "f1_micro",
    "extract": "f1_micro",
    "answer": "token_f1",
    "summarize": "rougeL",
    "compose": "rougeL",
    "chat": "rougeL",
}


@cache
def catalogue() -> dict[str, MetricInfo]:
    """Return every built-in metric by name, in the catalogue's order."""
    text = files("metier.scoring").joinpath("metrics.toml").read_text(encoding="utf-8")
    found = {}
    for name, entry in tomllib.loads(text).items():
        entry["tasks"] = tuple(entry["tasks"])
        for end in ("low", "high"):
            if entry.pop(f"no_{end}", False):
                entry[end] = None
        found[name] = MetricInfo(name, **entry)
    return found


def metric_info(name: str) -> MetricInfo:
    """Return what is known of a metric; ``field.metric`` keeps its full name.

    Raises UserError naming the nearest metric when there is none of that name.
    """
    plain = name.rpartition(".")[2]
    if plain in catalogue():
        return replace(catalogue()[plain], name=name)
    if plain in metrics:
        return replace(metrics.make(plain).info, name=name)
    raise UserError("the name of a metric", got=repr(name), remedy=nearest(plain, catalogue()))


def field_kinds(objective: Objective) -> dict[str, FieldKind]:
    """Return how each field of a structured objective is measured, in schema order."""
    properties = (objective.fields or {}).get("properties", {})
    return {name: _field_kind(spec) for name, spec in properties.items()}


def _field_kind(spec: Mapping[str, Any]) -> FieldKind:
    if "enum" in spec or spec.get("type") == "boolean":
        return "label"
    if spec.get("type") == "array":
        return "labels"
    return "text" if spec.get("type", "string") == "string" else "value"


def task_metrics(objective: Objective) -> list[str]:
    """Return the names of all metrics that can be computed for the objective's task.

    Per-class metrics are among them: a target on one needs ``label``. Metrics of the kind "probe"
    are not: another part of metier measures them.
    """
    whole = [info for info in catalogue().values() if info.kind != "probe"]
    names = []
    for field, kind in field_kinds(objective).items():
        names += [f"{field}.{info.name}" for info in whole if _fits_field(info, kind)]
    return names + [info.name for info in whole if objective.task in info.tasks]


def _fits_field(info: MetricInfo, kind: FieldKind) -> bool:
    if info.needs != "answers" or _FIELD_TASKS[kind] not in info.tasks:
        return False
    return kind != "value" or info.name in ("exact_match", "unanswered_rate")


def primary_metric(objective: Objective) -> str:
    """Return the metric that stands for the task where the objective names no target.

    A target's own metric comes first; otherwise the field's usual headline.
    """
    known = task_metrics(objective)
    for target in objective.target:
        plain = target.slice is None and target.label is None and target.stage == "evaluate"
        if plain and target.metric in known:
            return target.metric
    if objective.task != "structured":
        return _PRIMARY[objective.task]
    kinds = field_kinds(objective)
    field = min(kinds, key=lambda name: list(_FIELD_TASKS).index(kinds[name]))
    if kinds[field] == "value":
        return f"{field}.exact_match"
    return f"{field}.{_PRIMARY[_FIELD_TASKS[kinds[field]]]}"


def check_targets(objective: Objective) -> None:
    """Raise ConfigError, listing every target or constraint that cannot be computed.

    Only those of the stage "evaluate" are judged by the task; later stages name their own metrics.
    """
    problems = []
    for key, targets in (("target", objective.target), ("constraint", objective.constraint)):
        for number, target in enumerate(targets):
            problem = _problem(objective, target) if target.stage == "evaluate" else None
            if problem:
                problems.append((f"objective.{key}[{number}]", problem))
    if problems:
        raise ConfigError(
            f"targets that can be computed for task {objective.task!r}",
            got="\n    ".join(f"{place}: {problem}" for place, problem in problems),
            remedy=f"choose from: {', '.join(task_metrics(objective))}",
        )


def _problem(objective: Objective, target: Target) -> str | None:
    name, known = target.metric, task_metrics(objective)
    info = catalogue().get(name)
    if name not in known and not (info and info.kind == "probe"):
        if name.rpartition(".")[2] not in catalogue():
            return f"there is no metric {name!r}; {_nearest_name(name, known)}"
        return f"{name!r} cannot be computed for it; {_nearest_name(name, known)}"
    return _label_problem(target, metric_info(name)) or _bound_problem(target, metric_info(name))


def _nearest_name(name: str, known: list[str]) -> str:
    plain = name.rpartition(".")[2]
    same = [other for other in known if other.rpartition(".")[2] == plain]
    return f"did you mean {same[0]!r}?" if same else nearest(name, known).partition("known:")[0]


def _label_problem(target: Target, info: MetricInfo) -> str | None:
    if info.per_class and target.label is None:
        return f"{info.name!r} is of one class: name it with label"
    if not info.per_class and target.label is not None:
        return f"{info.name!r} goes over all classes; with label use f1, precision or recall"
    return None


def _bound_problem(target: Target, info: MetricInfo) -> str | None:
    if target.at_least is not None and not info.higher_is_better:
        return f"lower {info.name} is better: use at_most or reduce_by"
    if target.at_most is not None and info.higher_is_better:
        return f"higher {info.name} is better: use at_least or increase_by"
    if target.increase_by is not None and not info.higher_is_better:
        return f"lower {info.name} is better: use reduce_by"
    if target.reduce_by is not None and info.higher_is_better:
        return f"higher {info.name} is better: use increase_by"
    bound = target.at_least if target.at_least is not None else target.at_most
    low, high = info.low, info.high
    fits = (low is None or (bound or 0) >= low) and (high is None or (bound or 0) <= high)
    if bound is None or fits:
        return _points_problem(bound, info)
    return f"{info.name} runs from {info.range}, so {bound:g} cannot be meant"


def _points_problem(bound: float | None, info: MetricInfo) -> str | None:
    if bound is None or info.unit != "points" or bound > 1:
        return None
    return f"{info.name} runs from {info.range}: {bound:g} looks like a share"
