"""Score answers, and estimate what the scores say of all answers to come.

    from metier.scoring import make_metric, records_of

    make_metric("f1_macro")(records_of(predictions))   # Estimate(value, low, high, n, clusters)

Names that need numpy are loaded on first use.
"""

from __future__ import annotations

import typing as _typing
from importlib import import_module
from typing import Any

from metier.scoring.goals.planning import Assumptions, HeldOut, Need, needs
from metier.scoring.statistics.power import expert_hours
from metier.scoring.tasks import (
    catalogue,
    check_targets,
    field_kinds,
    metric_info,
    primary_metric,
    task_metrics,
)
from metier.scoring.types import Metric, MetricInfo, Resampling, Scorer, Statistic

if _typing.TYPE_CHECKING:
    from metier.scoring.builtin import make_metric, metrics, scorers
    from metier.scoring.labels.classification import confusion, per_class, rare_classes, support
    from metier.scoring.records import field_view, record_of, records_of, slice_view
    from metier.scoring.statistics.intervals import cluster_t, mcnemar, wilson
    from metier.scoring.statistics.paired import (
        Paired,
        mcnemar_test,
        paired_difference,
        permutation_test,
    )

_LATER = {
    "builtin": ("make_metric", "metrics", "scorers"),
    "labels.classification": ("confusion", "per_class", "rare_classes", "support"),
    "statistics.intervals": ("cluster_t", "mcnemar", "wilson"),
    "statistics.paired": ("Paired", "mcnemar_test", "paired_difference", "permutation_test"),
    "records": ("field_view", "record_of", "records_of", "slice_view"),
}
_HOME = {name: module for module, names in _LATER.items() for name in names}

__all__ = [
    "Assumptions",
    "HeldOut",
    "Metric",
    "MetricInfo",
    "Need",
    "Paired",
    "Resampling",
    "Scorer",
    "Statistic",
    "catalogue",
    "check_targets",
    "cluster_t",
    "confusion",
    "expert_hours",
    "field_kinds",
    "field_view",
    "make_metric",
    "mcnemar",
    "mcnemar_test",
    "metric_info",
    "metrics",
    "needs",
    "paired_difference",
    "per_class",
    "permutation_test",
    "primary_metric",
    "rare_classes",
    "record_of",
    "records_of",
    "scorers",
    "slice_view",
    "support",
    "task_metrics",
    "wilson",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
