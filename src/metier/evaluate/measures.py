"""From predictions to numbers: metrics, classes, confusion, cost, and a grade per item."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from metier.core.costs import Prices, usd_for_tokens, usd_per_1000
from metier.core.errors import InputError
from metier.core.objective import Objective, Target
from metier.core.records import Confusion, Prediction
from metier.core.types import Estimate, Score
from metier.evaluate.beside import ALONE, Beside
from metier.scoring import (
    MetricInfo,
    Resampling,
    confusion,
    field_kinds,
    field_view,
    make_metric,
    metric_info,
    per_class,
    records_of,
    scorers,
    slice_view,
    task_metrics,
)
from metier.scoring.goals.targets import metric_key
from metier.scoring.records import carries
from metier.scoring.tasks import shown_info

ClassEstimates = Mapping[str, Mapping[str, Estimate]]
GRADES = {"label": "label_match", "labels": "exact_match", "text": "token_f1"}
TASK_GRADES = {"classify": "label_match", "multilabel": "exact_match", "extract": "exact_match"}
COST = "usd_per_1000"
DEFAULT_PRICES = Prices()


@dataclass(frozen=True, slots=True)
class Measures:
    """The numbers of one evaluation, as ``EvaluationReport`` holds them."""

    metrics: Mapping[str, Estimate]
    per_class: Mapping[str, ClassEstimates]
    confusion: Mapping[str, Confusion]
    warnings: tuple[str, ...]


def measure(
    objective: Objective,
    predictions: Sequence[Prediction],
    resampling: Resampling,
    prices: Prices = DEFAULT_PRICES,
    device: str = "cpu",
    beside: Beside = ALONE,
) -> Measures:
    """Return every metric of the task, those of slices that targets name, and cost.

    Metrics that need what no record has (scores, several turns), or rank labels where there are too
    few to rank, are left out, unless the objective asks for them: then they are undefined, and say
    why.
    """
    records, notes = beside.draw(records_of(predictions, beside.examples), predictions)
    metrics = {}
    for name in measured_metrics(objective, records):
        metric = make_metric(name, objective=objective, materials=beside.materials)
        found = metric(records, resampling)
        ranks = metric.info.needs == "scores" and name not in asked_metrics(objective)
        if not (ranks and math.isnan(found.value)):
            metrics[name] = found
    metrics |= _slice_metrics(objective, records, resampling, beside)
    cost = cost_estimate(metrics, prices, device)
    if cost is not None:
        metrics[COST] = cost
    fields = label_fields(objective)
    views = {name: field_view(records, name) if name else records for name in fields}
    return Measures(
        metrics,
        {name: per_class(view, resampling) for name, view in views.items()},
        {name: confusion(view) for name, view in views.items() if fields[name] == "label"},
        (*notes, *_warnings(objective, predictions)),
    )


def measured_metrics(objective: Objective, records: Sequence[Score]) -> list[str]:
    """Return the metrics that records of the objective's task have something to say on."""
    asked = asked_metrics(objective)
    found = []
    for name in task_metrics(objective):
        info = metric_info(name, objective)
        if not info.per_class and (name in asked or carries(records, info.needs)):
            found.append(name)
    return found


def asked_metrics(objective: Objective) -> set[str]:
    """Return the metrics that the objective names: listed, or in a target or constraint."""
    targets = [*objective.target, *objective.constraint]
    return {*objective.metrics, *(target.metric for target in targets)}


def label_fields(objective: Objective) -> dict[str, str]:
    """Return the fields with classes: name ("" for the task itself) -> label or labels."""
    if objective.task == "structured":
        return {n: k for n, k in field_kinds(objective).items() if k in ("label", "labels")}
    kinds = {"classify": "label", "multilabel": "labels", "extract": "labels"}
    return {"": kinds[objective.task]} if objective.task in kinds else {}


def cost_estimate(metrics: Mapping[str, Estimate], prices: Prices, device: str) -> Estimate | None:
    """Return US dollars per 1,000 replies: the interval is the mean latency's, in money.

    What an endpoint charges for tokens is added at the mean token counts.
    """
    latency = metrics.get("latency_mean_s")
    if latency is None:
        return None
    tokens = [metrics.get(f"{side}_tokens_mean") for side in ("input", "output")]
    counts = [round(1000 * one.value) if one is not None and one.n else 0 for one in tokens]
    charged = usd_for_tokens(counts[0], counts[1], prices)
    value, low, high = (
        usd_per_1000(seconds, prices, device) + charged
        for seconds in (latency.value, latency.low, latency.high)
    )
    return replace(latency, value=value, low=low, high=high)


def grade_items(objective: Objective, predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return a grade per example id, 0 to 1; structured answers get the mean over their fields.

    For finding bad answers, not for reporting.
    """
    records = records_of(predictions)
    if objective.task == "structured":
        kinds = field_kinds(objective)
        parts = [
            [_grade(GRADES.get(kind, "exact_match"), r) for r in field_view(records, name)]
            for name, kind in kinds.items()
        ]
        rows: list[list[float | None]] = [list(row) for row in zip(*parts, strict=True)]
    else:
        name = TASK_GRADES.get(objective.task, "token_f1")
        rows = [[_grade(name, record)] for record in records]
    graded = {}
    for record, row in zip(records, rows, strict=True):
        known = [value for value in row if value is not None]
        if known:
            graded[record.example_id] = fmean(known)
    return graded


def _grade(name: str, record: Score) -> float | None:
    return scorers.make(name)(record).value


def _slice_metrics(
    objective: Objective, records: Sequence[Score], resampling: Resampling, beside: Beside
) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    known = task_metrics(objective)
    for target in (*objective.target, *objective.constraint):
        if target.slice is None or target.label is not None or target.metric not in known:
            continue
        part = slice_records(records, target)
        metric = make_metric(target.metric, objective=objective, materials=beside.materials)
        found[metric_key(target)] = metric(part, resampling)
    return found


def slice_records(records: Sequence[Score], target: Target) -> list[Score]:
    """Return the records a target is about. Raises InputError when its slice has none."""
    if target.slice is None:
        return list(records)
    key, _, value = target.slice.partition("=")
    part = slice_view(records, key.strip(), value.strip())
    if not part:
        known = sorted({f"{k}={v}" for record in records for k, v in record.slices.items()})
        raise InputError(
            f"test items in slice {target.slice!r}, which a target names",
            got="none",
            remedy=f"name one of: {', '.join(known[:20]) or 'none (no source has slices)'}",
        )
    return part


def _warnings(objective: Objective, predictions: Sequence[Prediction]) -> list[str]:
    n, found = len(predictions), []
    failed = [one for one in predictions if one.completion.error]
    if failed:
        found.append(
            f"{len(failed)} of {n} items failed and count as wrong, "
            f"e.g. {failed[0].example_id}: {failed[0].completion.error}"
        )
    unread = sum(one.parsed is None and one.completion.error is None for one in predictions)
    if unread:
        found.append(f"{unread} of {n} replies could not be read and count as wrong")
    cut = sum(bool(one.completion.usage.cut_tokens) for one in predictions)
    if cut:
        found.append(f"{cut} of {n} prompts did not fit the context and were cut")
    for name, kind in label_fields(objective).items():
        found += _label_warnings(name, kind, objective, predictions)
    return found


def _label_warnings(
    field: str, kind: str, objective: Objective, predictions: Sequence[Prediction]
) -> list[str]:
    records = records_of(predictions)
    view = field_view(records, field) if field else records
    where = f"field {field!r}: " if field else ""
    found = []
    wanted = {str(one.expected) for one in view if one.expected is not None}
    if kind == "label" and len(wanted) == 1:
        found.append(f"{where}all test items have the same label, so nothing is told apart")
    allowed = {str(value) for value in objective.enum_fields.get(field, ())}
    outside = sum(isinstance(one.got, str) and one.got not in allowed for one in view)
    if allowed and outside:
        found.append(f"{where}{outside} answers lie outside the label set and count as wrong")
    return found


def info_of(name: str) -> MetricInfo:
    """Return what is known of a metric, also of one on a slice (``name@key=value``)."""
    return shown_info(name.partition("@")[0])
