"""Labels: accuracy, F1, precision, recall, MCC, per class, confusion.

One label (classify), sets of labels (multilabel) and labelled spans (extract) are all treated as
sets of decisions: what was expected, what was predicted, what is in both. "Macro" goes over the
labels *present in the references*; a label that is only ever predicted costs the others recall but
has no score of its own (scikit-learn would add it with F1 0).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metier.core.errors import InputError
from metier.core.records import Confusion
from metier.core.types import Estimate, Json, Score
from metier.scoring.base import GradeScorer, Measured, mean_of
from metier.scoring.registry import metrics, scorers
from metier.scoring.statistics.bias import f1_macro_bias
from metier.scoring.statistics.bootstrap import FloatArray, Sums, undefined
from metier.scoring.statistics.intervals import effective_n, wilson
from metier.scoring.tasks import metric_info
from metier.scoring.types import DEFAULT, Metric, MetricInfo, Resampling, Scorer, Statistic

RARE = 5
SMALL_CLASS = 20
_TP, _SUPPORT, _PREDICTED = range(3)


def label_of(value: Json) -> str | None:
    """Return a single answer as a label, None when there is none."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def decisions(value: Json) -> dict[str, str]:
    """Return an answer as decisions: identity -> label.

    A label stands for itself; a span ``{"start", "end", "label"}`` counts when all three agree.
    """
    if value is None:
        return {}
    found: dict[str, str] = {}
    for item in value if isinstance(value, list | tuple) else [value]:
        key = label_of(item)
        if key is not None:
            named = item.get("label") if isinstance(item, Mapping) else None
            found[key] = key if named is None else str(named)
    return found


def reference_labels(records: Sequence[Score]) -> tuple[str, ...]:
    """Return the labels present in the references, sorted."""
    return tuple(sorted({label for r in records for label in decisions(r.expected).values()}))


def support(records: Sequence[Score]) -> dict[str, int]:
    """Return how often each reference label occurs, the most frequent first."""
    counts = Counter(label for r in records for label in decisions(r.expected).values())
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def rare_classes(records: Sequence[Score], under: int = RARE) -> dict[str, int]:
    """Return the reference labels with fewer than ``under`` test items, and their counts.

    Their figures are in the macro averages, and mean little one by one: report them apart.
    """
    return {label: count for label, count in support(records).items() if count < under}


def _labelled(records: Sequence[Score]) -> tuple[list[Score], tuple[str, ...]]:
    """Return the records that have a reference, and what to say of the others."""
    kept = [record for record in records if record.expected is not None]
    gone = len(records) - len(kept)
    notes = (f"{gone} of {len(records)} items have no reference and were left out",) if gone else ()
    return kept, notes


def _label_sums(
    records: Sequence[Score],
    labels: Sequence[str],
    reduce: Callable[[FloatArray], FloatArray],
    notes: tuple[str, ...] = (),
) -> Sums:
    """Per label: decisions right, expected, predicted; reduce takes [resamples, 3, labels]."""
    place, width = {label: i for i, label in enumerate(labels)}, len(labels)
    records, left_out = _labelled(records)
    cells: list[tuple[int, int, float]] = []
    for row, record in enumerate(records):
        wanted, got = decisions(record.expected), decisions(record.got)
        right = [label for key, label in got.items() if wanted.get(key) == label]
        for part, found in ((_TP, right), (_SUPPORT, wanted.values()), (_PREDICTED, got.values())):
            cells += [(row, part * width + place[label], 1.0) for label in found if label in place]

    def shaped(sums: FloatArray) -> FloatArray:
        return reduce(sums.reshape(len(sums), 3, width))

    return Sums.of(records, cells, 3 * width, shaped, (*left_out, *notes))


def f1_of(sums: FloatArray) -> FloatArray:
    """Return F1 [resamples, labels] = 2 right / (expected + predicted); NaN without either."""
    return _of(2 * sums[:, _TP] / (sums[:, _SUPPORT] + sums[:, _PREDICTED]))


def precision_of(sums: FloatArray) -> FloatArray:
    """Return precision [resamples, labels]; NaN where nothing was predicted."""
    return _of(sums[:, _TP] / sums[:, _PREDICTED])


def recall_of(sums: FloatArray) -> FloatArray:
    """Return recall [resamples, labels]; NaN where nothing was expected."""
    return _of(sums[:, _TP] / sums[:, _SUPPORT])


def _of(values: FloatArray) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


Part = Callable[[FloatArray], FloatArray]
_PARTS: dict[str, Part] = {"precision": precision_of, "recall": recall_of, "f1": f1_of}


def _averaged(part: Part, weighted: bool = False) -> Part:
    """Average over the labels that the (resampled) references hold; undefined counts as 0."""

    def reduce(sums: FloatArray) -> FloatArray:
        present = sums[:, _SUPPORT] > 0
        weights = sums[:, _SUPPORT] if weighted else present.astype(np.float64)
        values = np.where(present, np.nan_to_num(part(sums)), 0.0)
        return _of((values * weights).sum(axis=1) / weights.sum(axis=1))

    return reduce


def _over_references(name: str, reduce: Part) -> Metric:
    def build(records: Sequence[Score]) -> Sums:
        labels = reference_labels(records)
        found = _label_sums(records, labels, reduce, small_class_warnings(records))
        if name != "f1_macro":
            return found
        return replace(found, bias=f1_macro_bias(found.matrix, len(labels)))

    return Measured(metric_info(name), build)


def _pooled(name: str, part: Part) -> Metric:
    """Micro average: every label counts, also one that only ever is predicted."""

    def build(records: Sequence[Score]) -> Sums:
        records, left_out = _labelled(records)
        cells: list[tuple[int, int, float]] = []
        for row, record in enumerate(records):
            wanted, got = decisions(record.expected), decisions(record.got)
            right = sum(wanted.get(key) == label for key, label in got.items())
            cells += [(row, _TP, right), (row, _SUPPORT, len(wanted)), (row, _PREDICTED, len(got))]
        return Sums.of(records, cells, 3, lambda sums: part(sums[:, :, None])[:, 0], left_out)

    return Measured(metric_info(name), build)


def small_class_warnings(records: Sequence[Score]) -> tuple[str, ...]:
    """Return what to say of classes too small to be judged one by one."""
    counts = support(records)
    small = [label for label, count in counts.items() if count < SMALL_CLASS]
    if not small:
        return ()
    fewest = min(counts, key=lambda label: counts[label])
    return (
        f"{len(small)} of {len(counts)} classes have fewer than {SMALL_CLASS} test items "
        f"(fewest: {counts[fewest]} of {fewest!r}): their figures move with single items",
    )


def _right(record: Score) -> float | None:
    if record.expected is None:
        return None
    return float(label_of(record.expected) == label_of(record.got))


def _wrong(record: Score) -> float | None:
    right = _right(record)
    return None if right is None else 1 - right


def _unanswered(record: Score) -> float:
    return float(record.got is None)


@scorers.register("label_match")
def label_match() -> Scorer:
    """1 when the label is right, else 0."""
    return GradeScorer("label_match", _right)


@metrics.register("accuracy")
def accuracy() -> Metric:
    """Share of items whose label is right."""
    return mean_of("accuracy", _right)


@metrics.register("error_rate")
def error_rate() -> Metric:
    """Share of items whose label is wrong or missing."""
    return mean_of("error_rate", _wrong)


@metrics.register("unanswered_rate")
def unanswered_rate() -> Metric:
    """Share of items with no answer that could be read."""
    return mean_of("unanswered_rate", _unanswered)


def _register_averages() -> None:
    for part_name, part in _PARTS.items():
        _register(f"{part_name}_macro", _over_references, _averaged(part))
        _register(f"{part_name}_micro", _pooled, part)
    _register("f1_weighted", _over_references, _averaged(f1_of, weighted=True))


def _register(name: str, make: Callable[[str, Part], Metric], part: Part) -> None:
    @metrics.register(name)
    def factory() -> Metric:
        return make(name, part)


def _register_per_class() -> None:
    for name, part in _PARTS.items():
        _register_of_class(name, part)


def _register_of_class(name: str, part: Part) -> None:
    @metrics.register(name)
    def factory(label: str = "") -> Metric:
        if not label:
            raise InputError(f"the class whose {name} is meant", remedy="name it with label")
        return OfClass(metric_info(name), label, part)


_register_averages()
_register_per_class()


@metrics.register("mcc")
def mcc() -> Metric:
    """Matthews correlation over all labels.

    Source: R_K of Gorodkin (2004), Computational Biology and Chemistry 28, eq. (8). A missing
    answer counts as a label of its own. Undefined when either side holds a single label.
    """
    return Measured(metric_info("mcc"), _mcc_sums)


def _mcc_sums(records: Sequence[Score]) -> Sums:
    records, left_out = _labelled(records)
    wanted = [label_of(record.expected) for record in records]
    got = [label_of(record.got) for record in records]
    place = {label: i for i, label in enumerate(dict.fromkeys([*wanted, *got]))}
    width = len(place)
    cells: list[tuple[int, int, float]] = []
    for row, (w, g) in enumerate(zip(wanted, got, strict=True)):
        cells += [(row, place[w], 1.0), (row, width + place[g], 1.0)]
        cells += [(row, 2 * width, float(w == g)), (row, 2 * width + 1, 1.0)]

    def reduce(sums: FloatArray) -> FloatArray:
        true, pred = sums[:, :width], sums[:, width : 2 * width]
        right, n = sums[:, 2 * width], sums[:, 2 * width + 1]
        spread = (n**2 - (pred**2).sum(axis=1)) * (n**2 - (true**2).sum(axis=1))
        together = right * n - (true * pred).sum(axis=1)
        return _of(np.where(spread > 0, together / np.sqrt(spread), np.nan))

    notes = ("MCC needs at least two labels on either side",) if width < 2 else ()
    return Sums.of(records, cells, 2 * width + 2, reduce, (*left_out, *notes))


def per_class(
    records: Sequence[Score], resampling: Resampling = DEFAULT
) -> dict[str, dict[str, Estimate]]:
    """Return precision, recall and F1 of every reference label, the most frequent first.

    ``n`` counts the class's test items (precision: the items predicted to be of it).
    """
    labels = list(support(records))
    table = _label_sums(records, labels, f1_of).matrix.tocsc()
    width = len(labels)
    return {
        label: {
            name: _class_estimate(table[:, i::width], label, name, resampling) for name in _PARTS
        }
        for i, label in enumerate(labels)
    }


@dataclass(frozen=True)
class OfClass:
    """Precision, recall or F1 of one class. Wilson's interval, so that small classes keep one."""

    info: MetricInfo
    label: str
    part: Part

    def statistic(self, records: Sequence[Score]) -> Statistic:
        """Return the value as a function of cluster weights."""
        return _label_sums(records, (self.label,), lambda sums: self.part(sums)[:, 0])

    def __call__(self, records: Sequence[Score], resampling: Resampling = DEFAULT) -> Estimate:
        """Return value and interval; ``resampling`` gives the level."""
        found = _label_sums(records, (self.label,), self.part)
        return _class_estimate(found.matrix.tocsc(), self.label, self.info.name, resampling)


def _class_estimate(table: Any, label: str, name: str, resampling: Resampling) -> Estimate:
    """``table`` [clusters, 3] holds right, expected, predicted of one class.

    F1 = 2J / (1 + J) with J = right / (right + false + missed), a proportion, so the ends of
    Wilson's interval for J, mapped the same way, are those for F1.
    """
    right, expected, predicted = (table[:, [k]].toarray().ravel() for k in range(3))
    sizes = {"precision": predicted, "recall": expected, "f1": expected + predicted - right}[name]
    inside = sizes > 0
    n = int((predicted if name == "precision" else expected).sum())
    notes = small_class_warning(int(expected.sum()), label)
    if not inside.any():
        why = {"precision": "never predicted", "recall": "not in the references"}
        words = f"class {label!r} is {why.get(name, 'neither expected nor predicted')}"
        return undefined(words, n, 0, resampling.level, notes)
    worth = effective_n(right[inside].tolist(), sizes[inside].tolist(), resampling.level)
    share = float(right.sum() / sizes.sum())
    shares = (share, *wilson(share * worth, worth, resampling.level))
    value, low, high = (2 * x / (1 + x) if name == "f1" else x for x in shares)
    clusters = int(inside.sum())
    return Estimate(value, low, high, n, clusters, resampling.level, "Wilson", notes)


def small_class_warning(count: int, label: str) -> tuple[str, ...]:
    """Return what to say of one class too small to be judged."""
    return (f"only {count} test items of class {label!r}",) if count < SMALL_CLASS else ()


def confusion(records: Sequence[Score]) -> Confusion:
    """Return counts of expected against predicted label; the last column is "no answer".

    Labels are those expected or predicted, sorted. For single-label answers.
    """
    pairs = [(label_of(record.expected), label_of(record.got)) for record in records]
    labels = sorted({label for pair in pairs for label in pair if label is not None})
    place: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
    place[None] = len(labels)
    table = [[0] * (len(labels) + 1) for _ in labels]
    for wanted, got in pairs:
        if wanted is not None:
            table[place[wanted]][place[got]] += 1
    return Confusion(tuple(labels), tuple(tuple(row) for row in table))
