"""Marked passages: partial matches, and words rather than passages.

A span is ``{"label", "text"}``, or ``{"label", "start", "end"}`` with characters counted from 0 and
``end`` exclusive. ``f1_micro`` of the task extract counts a span only when it is met exactly; the
two here also see what was nearly met.

Spans with offsets are compared by the characters they cover, those with a text by its words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core.types import Json, Score
from metier.scoring.base import Measured
from metier.scoring.labels.classification import f1_of, reference_labels, small_class_warnings
from metier.scoring.registry import metrics
from metier.scoring.statistics.bootstrap import FloatArray, Sums
from metier.scoring.tasks import metric_info
from metier.scoring.texts.text import words
from metier.scoring.types import Metric

PARTIAL = 0.5
"""What a partial match counts."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A marked passage: its label and its parts, which are words or places of characters."""

    label: str
    parts: tuple[str | int, ...]

    def shared(self, other: Passage) -> int:
        """Return how many parts two passages of one label share; 0 across labels."""
        if self.label != other.label:
            return 0
        return sum((Counter(self.parts) & Counter(other.parts)).values())


def passages(value: Json) -> list[Passage]:
    """Read an answer's spans; None and what is no span are none."""
    found = []
    for item in value if isinstance(value, list | tuple) else ():
        if isinstance(item, Mapping) and item.get("label") is not None:
            found.append(Passage(str(item["label"]), _parts(item)))
    return found


def _parts(span: Mapping[str, Json]) -> tuple[str | int, ...]:
    start, end = span.get("start"), span.get("end")
    if isinstance(start, int) and isinstance(end, int):
        return tuple(range(start, end))
    text = str(span.get("text", ""))
    return tuple(words(text)) or ((text,) if text else ())


def matches(wanted: Sequence[Passage], got: Sequence[Passage]) -> tuple[int, int]:
    """Return how many passages were met exactly, and how many partially.

    Each passage counts once: exact ones are paired first, then of the rest those that share most.
    """
    exact = Counter(wanted) & Counter(got)
    left, right = list((Counter(wanted) - exact).elements()), Counter(got) - exact
    rest = list(right.elements())
    pairs = sorted(
        (-one.shared(other), i, j)
        for i, one in enumerate(left)
        for j, other in enumerate(rest)
        if one.shared(other)
    )
    met: set[int] = set()
    used: set[int] = set()
    for _, i, j in pairs:
        if i not in met and j not in used:
            met.add(i)
            used.add(j)
    return sum(exact.values()), len(met)


def _referenced(records: Sequence[Score]) -> tuple[list[Score], tuple[str, ...]]:
    kept = [record for record in records if record.expected is not None]
    gone = len(records) - len(kept)
    notes = (f"{gone} of {len(records)} items have no reference and were left out",) if gone else ()
    return kept, notes


@metrics.register("span_f1_partial")
def span_f1_partial() -> Metric:
    """F1 over spans in which one that overlaps a reference of its label counts half.

    Source: the partial-boundary score of SemEval-2013 task 9, Segura-Bedmar et al. (2013), section
    4, with the label required as well.
    """
    return Measured(metric_info("span_f1_partial"), _partial_sums)


def _partial_sums(records: Sequence[Score]) -> Sums:
    kept, notes = _referenced(records)
    cells: list[tuple[int, int, float]] = []
    for row, record in enumerate(kept):
        wanted, got = passages(record.expected), passages(record.got)
        exact, partial = matches(wanted, got)
        right = exact + PARTIAL * partial
        cells += [(row, 0, right), (row, 1, len(wanted)), (row, 2, len(got))]
    return Sums.of(kept, cells, 3, lambda sums: f1_of(sums[:, :, None])[:, 0], notes)


@metrics.register("span_token_f1")
def span_token_f1() -> Metric:
    """F1 over the words (or characters) inside spans, per label; the mean over the references'.

    A word counts as often as it is marked.
    """
    return Measured(metric_info("span_token_f1"), _token_sums)


def _token_sums(records: Sequence[Score]) -> Sums:
    labels = reference_labels(records)
    kept, notes = _referenced(records)
    place, width = {label: i for i, label in enumerate(labels)}, len(labels)
    cells: list[tuple[int, int, float]] = []
    for row, record in enumerate(kept):
        wanted, got = _by_label(record.expected), _by_label(record.got)
        for label in (wanted.keys() | got.keys()) & place.keys():
            ours, theirs = got.get(label, Counter()), wanted.get(label, Counter())
            column = place[label]
            cells += [
                (row, column, (ours & theirs).total()),
                (row, width + column, theirs.total()),
                (row, 2 * width + column, ours.total()),
            ]
    notes += small_class_warnings(records)
    return Sums.of(kept, cells, 3 * width, lambda sums: _macro(sums, width), notes)


def _by_label(value: Json) -> dict[str, Counter[str | int]]:
    found: dict[str, Counter[str | int]] = {}
    for passage in passages(value):
        found.setdefault(passage.label, Counter()).update(passage.parts)
    return found


def _macro(sums: FloatArray, width: int) -> FloatArray:
    import numpy as np

    shaped = sums.reshape(len(sums), 3, width)
    present = shaped[:, 1] > 0
    values = np.where(present, np.nan_to_num(f1_of(shaped)), 0.0)
    return np.asarray(values.sum(axis=1) / present.sum(axis=1), dtype=np.float64)
