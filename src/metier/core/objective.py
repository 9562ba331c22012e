"""The objective: what is to be done, and what counts as success. Types only.

[objective]
task = "classify"
labels = "from-data"
[[objective.target]]
metric = "f1_macro"
at_least = 0.85
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from metier.core.checks import Check, checked_pattern
from metier.core.section import Section as Section

TaskKind = Literal[
    "classify", "multilabel", "extract", "answer", "summarize", "compose", "chat", "structured"
]
Stage = Literal["evaluate", "review", "pilot", "production"]
STAGES: tuple[Stage, ...] = ("evaluate", "review", "pilot", "production")
Reference = Literal["keyword", "zero_shot", "best_untuned", "champion", "current_process"]


class Target(Section):
    """One number to reach. Give ``at_least``/``at_most`` (absolute) or a change relative to a
    reference."""

    metric: str
    """Metric name, e.g. f1_macro; for structured tasks ``field.metric``, e.g. route.f1_macro."""
    stage: Stage = "evaluate"
    """Stage of the journey at which it is measured."""
    at_least: float | None = None
    """The lower confidence bound must reach this (metric's own unit)."""
    at_most: float | None = None
    """The upper confidence bound must stay at or under this (metric's own unit)."""
    reduce_by: Annotated[float, Field(gt=0, le=1)] | None = None
    """Relative reduction against ``relative_to``, as a fraction of the reference's value."""
    increase_by: Annotated[float, Field(gt=0)] | None = None
    """Increase over ``relative_to`` in the metric's own unit (points, not percent)."""
    relative_to: Reference | None = None
    """What reduce_by and increase_by are measured against."""
    current_value: float | None = None
    """The current process's measured value, with relative_to = "current_process"."""
    slice: str | None = None
    """Restrict to one slice, written key=value."""
    label: str | None = None
    """Restrict to one class (per-class metrics)."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        bounds = [self.at_least, self.at_most, self.reduce_by, self.increase_by]
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError("give exactly one of at_least, at_most, reduce_by, increase_by")
        relative = self.reduce_by is not None or self.increase_by is not None
        if relative and self.relative_to is None:
            raise ValueError("reduce_by and increase_by need relative_to")
        if not relative and self.relative_to is not None:
            raise ValueError("relative_to needs reduce_by or increase_by")
        if (self.relative_to == "current_process") != (self.current_value is not None):
            raise ValueError('current_value goes with relative_to = "current_process"')
        return self


class Objective(Section):
    """What the specialist does and the numbers it must reach."""

    task: TaskKind
    """Kind of task; it decides the target's shape, the metrics and the prompts."""
    labels: Literal["from-data"] | list[str] = "from-data"
    """Closed label set for classify, multilabel and extract; from-data freezes it at the first
    version."""
    fields: dict[str, Any] | None = None
    """structured only: JSON schema (type object) of the reply; each property is a field, an
    ``enum`` of strings makes it a closed set."""
    target: list[Target] = Field(default=[])
    """Targets, each an [[objective.target]] table."""
    constraint: list[Target] = Field(default=[])
    """Constraints that must hold beside the targets, each an [[objective.constraint]] table."""
    metrics: list[str] = Field(default=[])
    """Metrics to compute beyond the task's own, e.g. reading_ease; `metier metrics` lists them."""
    check: list[Check] = Field(default=[])
    """Rules of the project's own, each an [[objective.check]] table; a check is a metric under its
    name."""
    refusals: list[Annotated[str, AfterValidator(checked_pattern)]] = Field(default=[])
    """Regular expressions of the project's own wordings that decline to answer, beside the
    built-in ones."""
    proxy_min_correlation: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """A proxy (e.g. empathy) may serve in a gate once its correlation with panel ratings has a
    lower bound of at least this."""
    instruction: str = ""
    """What the model is told to do; shown to untuned and tuned models alike (empty: metier's own
    wording for the task)."""

    @model_validator(mode="after")
    def _task_shape(self) -> Self:
        if (self.task == "structured") != (self.fields is not None):
            raise ValueError('fields goes with task = "structured", and only with it')
        if self.fields is not None and not self.fields.get("properties"):
            raise ValueError("fields must be a JSON schema of type object with properties")
        if isinstance(self.labels, list) and len(set(self.labels)) < 2:
            raise ValueError("labels needs at least two different labels")
        return self

    @property
    def enum_fields(self) -> dict[str, list[str]]:
        """structured: the closed-set fields and their values, in schema order."""
        properties = (self.fields or {}).get("properties", {})
        return {name: list(spec["enum"]) for name, spec in properties.items() if "enum" in spec}

    @property
    def text_fields(self) -> list[str]:
        """structured: the free-text fields, in schema order."""
        properties = (self.fields or {}).get("properties", {})
        return [name for name, spec in properties.items() if "enum" not in spec]
