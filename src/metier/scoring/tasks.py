"""Which metrics exist, and which can be computed for a task. Imports no numpy.

The catalogue is ``metrics.toml`` beside this file. Structured tasks measure each field under
``field.metric``: closed sets as labels, lists of a closed set as label sets, strings as texts.
Beside the task's own metrics stand those that an objective lists or targets, its checks (metrics
under their own names), and those of third parties.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from metier.core.checks import Check
from metier.core.errors import ConfigError, UserError, nearest
from metier.core.objective import Objective, Target, TaskKind
from metier.core.toml_lines import Loc
from metier.scoring.registry import metrics
from metier.scoring.types import MetricInfo

FieldKind = Literal["label", "labels", "text", "value"]
_FIELD_TASKS: dict[FieldKind, TaskKind] = {
    "label": "classify",
    "labels": "multilabel",
    "text": "answer",
    "value": "answer",
}
JUDGE = "judge."
"""What the names of metrics that models judge begin with."""
_ABOUT_JUDGES = frozenset({"parse_failures", "flips", "first_place"})
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


def metric_info(name: str, objective: Objective | None = None) -> MetricInfo:
    """Return what is known of a metric; ``field.metric`` keeps its full name.

    The objective's checks are known where it is given. Raises UserError naming the nearest metric
    when there is none of that name.
    """
    found = _known(name, objective)
    if found is None:
        names = [*catalogue(), *(check.name for check in (objective.check if objective else ()))]
        plain = name.rpartition(".")[2]
        raise UserError("the name of a metric", got=repr(name), remedy=nearest(plain, names))
    return found


def shown_info(name: str, objective: Objective | None = None) -> MetricInfo:
    """Return ``metric_info``; for a name that the project no longer knows (a check or plugin that
    was removed since), what can be said of any check. For tables and pages, not for judging."""
    return _known(name, objective) or _check_info(name, "No longer in this project.")


def find_check(objective: Objective | None, name: str) -> Check | None:
    """Return the check called ``name``, None when there is none."""
    return next((one for one in (objective.check if objective else ()) if one.name == name), None)


def _known(name: str, objective: Objective | None) -> MetricInfo | None:
    check = find_check(objective, name)
    if check is not None:
        words = (type(check).__doc__ or "").strip().partition("\n")[0]
        info = _check_info(name, f"Share of replies that pass the {check.type} check. {words}")
        return replace(info, needs="asked") if check.needs_question else info
    if name.startswith(JUDGE) and "judge" not in (field_kinds(objective) if objective else ()):
        return judge_info(name)
    plain = name.rpartition(".")[2]
    if plain in catalogue():
        return replace(catalogue()[plain], name=name)
    if plain in metrics:
        return replace(metrics.make(plain).info, name=name, default=False)
    return None


def judge_info(name: str) -> MetricInfo | None:
    """Return what is known of a metric that models judge: ``judge.<dimension>`` or
    ``judge.win_rate``; None for numbers about the judge itself."""
    dimension = name.removeprefix(JUDGE)
    if dimension in _ABOUT_JUDGES or "." in dimension or not dimension:
        return None
    tasks = get_args(TaskKind)
    if dimension == "win_rate":
        words = "Share of pairs that judges say it wins; a tie counts half."
        return MetricInfo(name, words, "probe", tasks, needs="probe", default=False)
    words = f"Mean rating of {dimension} that judges give, 1 to 5; no verdict is a 1."
    return MetricInfo(name, words, "probe", tasks, True, "rating", "probe", 1.0, 5.0, default=False)


def _check_info(name: str, description: str) -> MetricInfo:
    return MetricInfo(name, description, "proportion", get_args(TaskKind), default=False)


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
    """Return the names of the metrics that are computed for the objective: its task's own, those
    it lists or targets, and its checks.

    Per-class metrics are among them: a target on one needs ``label``. Metrics of the kind "probe"
    are not: another part of metier measures them.
    """
    asked = {*objective.metrics, *(one.metric for one in objective.target + objective.constraint)}
    return [
        name
        for name in possible_metrics(objective)
        if name in asked or find_check(objective, name) or metric_info(name).default
    ]


def possible_metrics(objective: Objective) -> list[str]:
    """Return the names of all metrics that can be computed for the objective's task: fields first,
    then the task's, then third parties' that the objective asks for, then its checks."""
    whole = [info for info in catalogue().values() if info.kind != "probe"]
    names = []
    for field, kind in field_kinds(objective).items():
        names += [f"{field}.{info.name}" for info in whole if _fits_field(info, kind)]
    names += [info.name for info in whole if objective.task in info.tasks]
    asked = [*objective.metrics, *(one.metric for one in objective.target + objective.constraint)]
    names += [name for name in dict.fromkeys(asked) if _fits_plugin(name, objective)]
    return names + [check.name for check in objective.check]


def _fits_plugin(name: str, objective: Objective) -> bool:
    field, _, plain = name.rpartition(".")
    if plain in catalogue() or find_check(objective, name) or plain not in metrics:
        return False
    info, kinds = metrics.make(plain).info, field_kinds(objective)
    return _fits_field(info, kinds[field]) if field in kinds else objective.task in info.tasks


def _fits_field(info: MetricInfo, kind: FieldKind) -> bool:
    if info.needs not in ("answers", "asked") or _FIELD_TASKS[kind] not in info.tasks:
        return False
    return kind != "value" or info.name in ("exact_match", "unanswered_rate")


def primary_metric(objective: Objective) -> str:
    """Return the metric that stands for the task where the objective names no target.

    A target's own metric comes first, unless it is a check, a proxy, needs the question, or is
    computed only on demand: older reports lack those, and most say how a reply should be, not
    whether it is right. Otherwise the field's usual headline.
    """
    known = task_metrics(objective)
    for target in objective.target:
        plain = target.slice is None and target.label is None and target.stage == "evaluate"
        if plain and target.metric in known and _can_stand(target.metric, objective):
            return target.metric
    if objective.task != "structured":
        return _PRIMARY[objective.task]
    kinds = field_kinds(objective)
    field = min(kinds, key=lambda name: list(_FIELD_TASKS).index(kinds[name]))
    if kinds[field] == "value":
        return f"{field}.exact_match"
    return f"{field}.{_PRIMARY[_FIELD_TASKS[kinds[field]]]}"


def _can_stand(name: str, objective: Objective) -> bool:
    info = metric_info(name, objective)
    return info.default and not info.proxy and info.needs != "asked"


def check_targets(objective: Objective) -> None:
    """Raise ConfigError, listing every target or constraint that cannot be computed, every metric
    that is listed and is none, and every check whose name or field cannot be meant.

    Only targets of the stage "evaluate" are judged by the task; later stages name their own
    metrics.
    """
    problems = objective_problems(objective)
    if problems:
        raise ConfigError(
            f"targets that can be computed for task {objective.task!r}",
            got="\n    ".join(f"{_dotted(place)}: {problem}" for place, problem in problems),
            remedy=f"choose from: {', '.join(possible_metrics(objective))}",
        )


def objective_problems(objective: Objective) -> list[tuple[Loc, str]]:
    """Return what is wrong with an objective's metrics, as (place in metier.toml, words)."""
    problems: list[tuple[Loc, str]] = list(_check_problems(objective))
    problems += list(_listed_problems(objective))
    for key, targets in (("target", objective.target), ("constraint", objective.constraint)):
        for number, target in enumerate(targets):
            problem = _problem(objective, target) if target.stage == "evaluate" else None
            if problem:
                problems.append((("objective", key, number), problem))
    return problems


def _dotted(place: Loc) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def _listed_problems(objective: Objective) -> Iterator[tuple[Loc, str]]:
    known = possible_metrics(objective)
    for number, name in enumerate(objective.metrics):
        place: Loc = ("objective", "metrics", number)
        if name not in known:
            yield place, _unknown(name, known)
        elif name in objective.metrics[:number]:
            yield place, f"{name!r} is listed twice"
        elif metric_info(name, objective).per_class:
            yield place, f"{name!r} is of one class and in the report's table of classes anyway"


def _check_problems(objective: Objective) -> Iterator[tuple[Loc, str]]:
    fields = list(field_kinds(objective))
    names = [check.name for check in objective.check]
    for number, check in enumerate(objective.check):
        place: Loc = ("objective", "check", number)
        if check.name in names[:number]:
            yield (*place, "name"), f"two checks are called {check.name!r}"
        if check.name in catalogue() or check.name in metrics:
            yield (*place, "name"), f"{check.name!r} is the name of a metric: choose another"
        if check.field and check.field not in fields:
            remedy = nearest(check.field, fields) if fields else "leave it out: there are no fields"
            yield (*place, "field"), f"no field {check.field!r} in this objective; {remedy}"


def _unknown(name: str, known: list[str]) -> str:
    if name.rpartition(".")[2] not in catalogue():
        return f"there is no metric {name!r}; {_nearest_name(name, known)}"
    return f"{name!r} cannot be computed for it; {_nearest_name(name, known)}"


def _problem(objective: Objective, target: Target) -> str | None:
    name, known = target.metric, possible_metrics(objective)
    probe = _known(name, objective) if name.startswith(JUDGE) else catalogue().get(name)
    if name not in known and not (probe and probe.kind == "probe"):
        return _unknown(name, known)
    info = metric_info(name, objective)
    return (
        _label_problem(target, info) or _bound_problem(target, info) or _probe_problem(target, info)
    )


def _probe_problem(target: Target, info: MetricInfo) -> str | None:
    if info.kind != "probe" or target.relative_to in (None, "current_process"):
        return None
    return f"{info.name} is measured of the tuned model alone: use at_least or at_most"


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
