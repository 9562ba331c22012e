"""What scoring speaks: Scorer, Metric, Statistic, MetricInfo. Torch-free and numpy-free.

A Scorer grades one answer; a Metric turns many graded answers into one ``Estimate``. Between the
two stands the Statistic: the metric's value as a function of *how often each cluster counts*.
A bootstrap resample is nothing but one such vector of counts, so every metric is resampled the
same way, by whole clusters, and two systems are compared under the very same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from metier.core.objective import TaskKind
from metier.core.types import Estimate, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Kind = Literal["proportion", "mean", "ratio", "quantile", "probe"]
Needs = Literal[
    "answers",
    "asked",
    "timing",
    "usage",
    "costs",
    "probe",
    "scores",
    "turns",
    "first_token",
    "handling",
    "sources",
]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a reader must know of a metric.

    ``kind`` decides interval and power formula: a proportion averages yes/no items, a mean any
    numbers, a ratio is a function of sums, a quantile of the order, a probe is measured by another
    part of metier. ``low``/``high`` bound the values (None: open). ``tasks`` are the task kinds it
    is computed for; ``needs`` is what a record must carry. Without ``default`` it is computed only
    where the objective lists or targets it; a ``proxy`` stands in for people's judgement, and gates
    nothing until it was shown to agree with it.
    """

    name: str
    description: str
    kind: Kind
    tasks: tuple[TaskKind, ...]
    higher_is_better: bool = True
    unit: str = "share"
    needs: Needs = "answers"
    low: float | None = 0.0
    high: float | None = 1.0
    per_class: bool = False
    default: bool = True
    proxy: bool = False

    @property
    def range(self) -> str:
        """The possible values in words, e.g. ``0 to 1``."""
        if self.low is None and self.high is None:
            return "any number"
        if self.high is None:
            return f"{self.low:g} or more"
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made: ``resamples`` draws under ``seed``, two-sided at ``level``.

    ``bca`` corrects bias and skew (Efron 1987), which macro averages over many small classes
    need: their resamples lie below the data. ``t`` draws nothing: Student's interval over the
    clusters, from the values without each of them in turn.
    """

    resamples: int = 2000
    seed: int = 0
    level: float = 0.95
    method: Literal["percentile", "bca", "t"] = "bca"


DEFAULT = Resampling()


@runtime_checkable
class Scorer(Protocol):
    """Grades one answer."""

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...

    def __call__(self, record: Score) -> Score:
        """Return ``record`` with ``value`` (and perhaps ``detail``) filled in.

        An item that cannot be graded keeps ``value`` None and says so in ``detail["why"]``.
        """
        ...


class Statistic(Protocol):
    """A metric's value as a function of how often each cluster counts."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of the independent groups, sorted: the columns of the weights."""
        ...

    @property
    def n(self) -> int:
        """Items that entered."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, e.g. items left out."""
        ...

    def at(self, weights: FloatArray) -> FloatArray:
        """Return values [resamples] for weights [resamples, clusters]; NaN where undefined."""
        ...


@runtime_checkable
class Metric(Protocol):
    """Turns records into an estimate."""

    @property
    def info(self) -> MetricInfo:
        """Name, unit, direction."""
        ...

    def statistic(self, records: Sequence[Score]) -> Statistic:
        """Return the value as a function of cluster weights; also what pairs two systems."""
        ...

    def __call__(self, records: Sequence[Score], resampling: Resampling = DEFAULT) -> Estimate:
        """Return value and interval. Deterministic under ``resampling.seed``, whatever the
        order of the records."""
        ...
