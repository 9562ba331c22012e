"""The registries with all built-in scorers and metrics in them, and metrics by full name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metier.core.objective import Objective
from metier.core.types import Estimate, Score
from metier.scoring import efficiency
from metier.scoring.checks import check_metric
from metier.scoring.labels import classification, ranking, spans, structured
from metier.scoring.materials import NOTHING, Materials
from metier.scoring.records import field_view
from metier.scoring.registry import metrics, scorers
from metier.scoring.tasks import find_check
from metier.scoring.texts import coverage, readability, similar, style, text, tone, turns, voice
from metier.scoring.truth import citations, factual, grounded, refusal
from metier.scoring.types import DEFAULT, Metric, MetricInfo, Resampling, Statistic

__all__ = ["make_metric", "metrics", "scorers"]
_REGISTERED = (  # importing them registers them
    citations,
    classification,
    coverage,
    efficiency,
    factual,
    grounded,
    ranking,
    readability,
    refusal,
    similar,
    spans,
    structured,
    style,
    text,
    tone,
    turns,
    voice,
)


@dataclass(frozen=True)
class OfField:
    """A metric of one field of structured answers."""

    field: str
    inner: Metric

    @property
    def info(self) -> MetricInfo:
        """The inner metric's, under the full name."""
        return replace(self.inner.info, name=f"{self.field}.{self.inner.info.name}")

    def statistic(self, records: Sequence[Score]) -> Statistic:
        """Return the value as a function of cluster weights."""
        return self.inner.statistic(field_view(records, self.field))

    def __call__(self, records: Sequence[Score], resampling: Resampling = DEFAULT) -> Estimate:
        """Return value and interval."""
        return self.inner(field_view(records, self.field), resampling)


def make_metric(
    name: str,
    *,
    label: str | None = None,
    objective: Objective | None = None,
    materials: Materials = NOTHING,
) -> Metric:
    """Return the metric called ``name``: plain, ``field.metric``, of one class (``label``), or one
    of the objective's checks.

    ``schema_valid`` and checks need the objective; checks that read files need the materials.
    Raises UserError naming the nearest metric when there is none of that name, InputError when a
    check's file cannot be read.
    """
    check = find_check(objective, name)
    if check is not None:
        return check_metric(check, materials)
    field, _, plain = name.rpartition(".")
    arguments: dict[str, Any] = {} if label is None else {"label": label}
    if plain == "schema_valid" and objective is not None:
        arguments["schema"] = objective.fields or {}
    refusing = plain.startswith("refusal_") or plain in grounded.REFUSING
    if refusing and objective is not None:
        arguments["extra"] = objective.refusals
    if plain in factual.FACT_METRICS:
        arguments["tables"] = factual.fact_tables(objective, materials)
    metric = metrics.make(plain, **arguments)
    return OfField(field, metric) if field else metric
