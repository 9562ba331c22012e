"""Paired differences between evaluations of the same items.

Both sides are resampled together, cluster by cluster, so that what makes an item hard for both
cancels out: the interval is that of the difference, not of two separate numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from metier.core.errors import InputError
from metier.core.ledger import get_version, load_predictions
from metier.core.objective import Target
from metier.core.records import Difference, EvaluationReport
from metier.core.types import Estimate, Score
from metier.core.workspace import Workspace
from metier.evaluate.adjust import adjusted
from metier.evaluate.bench import Bench
from metier.evaluate.beside import materials_of, questions_of
from metier.evaluate.given import given
from metier.evaluate.measures import slice_records
from metier.scoring import (
    Metric,
    Resampling,
    make_metric,
    paired_difference,
    records_of,
    task_metrics,
)
from metier.scoring.goals.looks import at_level
from metier.scoring.statistics.power import detectable


@dataclass(frozen=True)
class Comparison:
    """Compares stored reports; predictions are read once and kept."""

    bench: Bench
    _records: dict[str, list[Score]] = field(default_factory=dict)

    def records(self, report: EvaluationReport) -> list[Score]:
        """Return the records of a report, in the order of example ids."""
        if report.id not in self._records:
            predictions = load_predictions(self.bench.workspace, report)
            records = records_of(predictions, questions_of(self.bench, report))
            found, _ = given(self.bench, records, predictions)
            self._records[report.id] = sorted(found, key=lambda record: record.example_id)
        return self._records[report.id]

    def differences(
        self, a: EvaluationReport, b: EvaluationReport, metrics: Sequence[str] | None = None
    ) -> list[Difference]:
        """Return a - b of each metric both have (those of slices and classes apart).

        Raises InputError when the two are not of the same split and items.
        """
        check_comparable(self.bench.workspace, a, b)
        first, second = self.records(a), self.records(b)
        check_items(a, b, first, second)
        names = metrics or [
            name
            for name in task_metrics(self.bench.objective)
            if name in a.metrics and name in b.metrics
        ]
        found = []
        for name in names:
            metric = self._metric(name)
            paired = paired_difference(metric, first, second, self.bench.resampling)
            shown = detectable(paired.estimate)
            one = Difference(name, a.id, b.id, paired.estimate, paired.p_value, None, shown)
            found.append(one)
        return found

    def single(self, target: Target, report: EvaluationReport, level: float) -> Estimate | None:
        """Return what a target is about in one report, estimated at another level.

        None for metrics that are not made of the graded answers, such as cost.
        """
        if target.metric not in task_metrics(self.bench.objective):
            return None
        metric = self._metric(target.metric, target.label)
        return metric(slice_records(self.records(report), target), self._resampling(level))

    def _resampling(self, level: float | None) -> Resampling:
        own = self.bench.resampling
        return own if level is None else at_level(own, level)

    def __call__(
        self,
        target: Target,
        a: EvaluationReport,
        b: EvaluationReport,
        factor: float,
        level: float | None = None,
    ) -> Estimate:
        """Return metric(a) - factor * metric(b) of what a target is about, paired."""
        check_comparable(self.bench.workspace, a, b)
        first, second = (slice_records(self.records(report), target) for report in (a, b))
        check_items(a, b, first, second)
        metric = self._metric(target.metric, target.label)
        return paired_difference(
            metric, first, second, self._resampling(level), factor=factor
        ).estimate

    def _metric(self, name: str, label: str | None = None) -> Metric:
        return make_metric(
            name,
            label=label,
            objective=self.bench.objective,
            materials=materials_of(self.bench),
        )


def compare(bench: Bench, a: EvaluationReport, b: EvaluationReport) -> list[Difference]:
    """Return the paired differences a - b of all metrics both have, named by report id.

    Raises InputError when the two are not of the same split and items.
    """
    return Comparison(bench).differences(a, b)


def compare_all(
    comparison: Comparison,
    candidate: EvaluationReport,
    reports: Sequence[EvaluationReport],
    metrics: Sequence[str] | None = None,
) -> list[Difference]:
    """Return the differences of the candidate to every other report.

    ``p_adjusted`` is corrected (Holm) for the number of reports compared on the same metric.
    """
    found = [
        difference
        for report in reports
        if report.id != candidate.id
        for difference in comparison.differences(candidate, report, metrics)
    ]
    return adjusted(found)


def check_comparable(ws: Workspace, a: EvaluationReport, b: EvaluationReport) -> None:
    """Raise InputError unless both are of the same split of the same version, or of versions in
    which that split is the same artifact: the same items with the same expected answers."""
    if a.split != b.split:
        raise InputError(
            "two evaluations on the same split",
            got=f"{a.id} ({a.rung}) on {a.split}, {b.id} ({b.rung}) on {b.split}",
            remedy="evaluate both on the same one; a difference between data is not a gain",
        )
    if a.version_id == b.version_id:
        return
    ours, theirs = (get_version(ws, one.version_id).splits.get(one.split) for one in (a, b))
    if ours is None or ours != theirs:
        raise InputError(
            f"two evaluations on the same data version, or on versions with one {a.split} set",
            got=f"{a.id} ({a.rung}) on {a.version_id} and {b.id} ({b.rung}) on {b.version_id}, "
            f"whose {a.split} sets differ",
            remedy="evaluate both on the same one; a difference between data is not a gain",
        )


def check_items(
    a: EvaluationReport, b: EvaluationReport, first: Sequence[Score], second: Sequence[Score]
) -> None:
    """Raise InputError unless both answered the same items."""
    ours, theirs = ({record.example_id for record in side} for side in (first, second))
    if ours != theirs:
        odd = sorted(ours ^ theirs)
        raise InputError(
            "two evaluations of the same items",
            got=f"{len(ours - theirs)} items only in {a.id} ({a.rung}), "
            f"{len(theirs - ours)} only in {b.id} ({b.rung}), e.g. {odd[0]}",
            remedy="evaluate both again with the same [evaluate] test_sample and seed",
        )
