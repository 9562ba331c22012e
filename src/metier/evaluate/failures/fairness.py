"""Is the model as good for every group of people? Rates per group, and the gaps between them.

    [data]
    sources = [{ path = "loans.csv", ..., slices = ["age_band"] }]
    [evaluate]
    groups = ["age_band"]
    positive = "approve"

The largest of several rates is above the smallest by chance alone, so no interval of a gap holds
zero: whether a gap is more than chance is what its p-value says, from attributes shuffled between
the independent clusters (Holm over all gaps of an attribute). The ratio of the lowest to the
highest rate is the number the four-fifths rule looks at; no legal claim is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Estimate, Score
from metier.evaluate.failures.items import FloatArray, Judged
from metier.evaluate.measures import label_fields
from metier.scoring import Resampling, field_view
from metier.scoring.base import Measured, Proportion, mean_statistic
from metier.scoring.labels.classification import decisions
from metier.scoring.statistics.bootstrap import Sums, clusters_of, estimate
from metier.scoring.statistics.multiplicity import holm

SMALL = 20
SHUFFLES = 10_000
BATCH = 250
Reduce = Callable[[FloatArray], FloatArray]
SEED = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """One measure in one group; ``judged`` is False where too few items count for it."""

    measure: str
    group: str
    estimate: Estimate
    judged: bool


@dataclass(frozen=True, slots=True)
class GroupGap:
    """The largest gap of one measure between groups: ``gap`` = highest - lowest, ``ratio`` =
    lowest / highest. ``adjusted_p`` is Holm's over the attribute's gaps."""

    measure: str
    highest: str
    lowest: str
    gap: Estimate
    ratio: Estimate
    p_value: float
    adjusted_p: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """One attribute. ``groups`` maps each value to its items; ``notes`` say what is not shown."""

    attribute: str
    groups: tuple[tuple[str, int], ...]
    rates: tuple[Rate, ...]
    gaps: tuple[GroupGap, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """A rate: ``hits`` among the items that ``counted`` marks; ``share`` False for means."""

    name: str
    hits: FloatArray
    counted: NDArray[np.bool_]
    share: bool = True


def fairness(
    judged: Judged, attribute: str, resampling: Resampling, positive: str = ""
) -> Fairness:
    """Compare the groups of one declared attribute. Deterministic.

    ``positive`` names the label (``field=label`` for structured replies) whose selection rate is
    compared too. Where no item has the attribute, the notes say how to declare it.
    """
    values = [item.example.slices.get(attribute, "") for item in judged.items]
    groups = sorted(set(values) - {""})
    if not groups:
        words = f"no test item has {attribute!r}: name it in slices of a [data] source"
        return Fairness(attribute, (), (), (), (words,))
    found = measures(judged, positive)
    place = np.asarray([groups.index(v) if v else -1 for v in values])
    rates = [
        rate
        for measure in found
        for number, group in enumerate(groups)
        if (rate := _rate(judged, measure, group, place == number, resampling)) is not None
    ]
    counts = tuple((group, int((place == number).sum())) for number, group in enumerate(groups))
    kept, gaps = _gaps(judged, found, rates, (groups, place), resampling)
    notes = _notes(attribute, counts, int((place < 0).sum()), kept)
    return Fairness(attribute, counts, tuple(rates), tuple(gaps), notes)


def measures(judged: Judged, positive: str = "") -> list[Measure]:
    """Return what is compared: error rate (or the mean of the item metric), selection rate, and
    per class recall and false positive rate."""
    everything = np.ones(len(judged.items), dtype=bool)
    if judged.info.kind == "proportion" and judged.span == (0.0, 1.0):
        up = judged.info.higher_is_better
        errors = 1 - judged.values if up else judged.values
        found = [Measure("error rate", errors, everything)]
    else:
        found = [Measure(judged.item_metric, judged.values, everything, share=False)]
    field, _, label = positive.rpartition("=")
    for name in label_fields(judged.objective):
        wanted, got = _label_sets(judged, name)
        where = f"{name}: " if name else ""
        if label and name == field:
            chosen = np.asarray([label in one for one in got], dtype=np.float64)
            found.append(Measure(f"{where}share given {label!r}", chosen, everything))
        for one in sorted({label for labels in wanted for label in labels}):
            hits = np.asarray([one in labels for labels in got], dtype=np.float64)
            there = np.asarray([one in labels for labels in wanted], dtype=bool)
            found.append(Measure(f"{where}recall of {one!r}", hits, there))
            found.append(Measure(f"{where}false positive rate of {one!r}", hits, ~there))
    return found


def _label_sets(judged: Judged, field: str) -> tuple[list[set[str]], list[set[str]]]:
    view = field_view(judged.records, field) if field else judged.records
    return (
        [set(decisions(record.expected).values()) for record in view],
        [set(decisions(record.got).values()) for record in view],
    )


def _rate(
    judged: Judged, measure: Measure, group: str, mask: NDArray[np.bool_], resampling: Resampling
) -> Rate | None:
    inside = np.flatnonzero(mask & measure.counted)
    if not len(inside):
        return None
    records = [replace(judged.items[i].record, value=float(measure.hits[i])) for i in inside]
    kind = Proportion if measure.share else Measured
    found = kind(judged.info, _mean)(records, resampling)
    return Rate(measure.name, group, found, len(inside) >= SMALL)


def _mean(records: Sequence[Score]) -> Sums:
    return mean_statistic(records, [record.value for record in records])


def _gaps(
    judged: Judged,
    found: Sequence[Measure],
    rates: Sequence[Rate],
    grouped: tuple[list[str], NDArray[np.int64]],
    resampling: Resampling,
) -> tuple[list[Measure], list[GroupGap]]:
    """Return the measures that two groups or more have enough items for, and their gaps."""
    groups, place = grouped
    enough = {
        m.name: [groups.index(r.group) for r in rates if r.measure == m.name and r.judged]
        for m in found
    }
    kept = [measure for measure in found if len(enough[measure.name]) > 1]
    if not kept:
        return [], []
    p_values = shuffled_p(judged, kept, place, [enough[m.name] for m in kept])
    gaps = []
    for measure, p, adjusted in zip(kept, p_values, holm(p_values), strict=True):
        shown = [r for r in rates if r.measure == measure.name and r.judged]
        high = max(shown, key=lambda rate: rate.estimate.value).group
        low = min(shown, key=lambda rate: rate.estimate.value).group
        sums = [_sums(judged, measure, place, enough[measure.name], f) for f in (_gap, _ratio)]
        bounds = (0.0, 1.0) if measure.share else None
        gap, ratio = (estimate(one, resampling, bounds) for one in sums)
        gaps.append(GroupGap(measure.name, high, low, gap, ratio, p, adjusted))
    return kept, gaps


def _sums(
    judged: Judged, measure: Measure, place: NDArray[np.int64], groups: Sequence[int], how: Reduce
) -> Sums:
    """Per group hits and counts, so that whole clusters are resampled over all groups at once."""
    column = {group: number for number, group in enumerate(groups)}
    rows = [i for i in np.flatnonzero(measure.counted) if int(place[i]) in column]
    cells = [
        cell
        for row, i in enumerate(rows)
        for cell in (
            (row, 2 * column[int(place[i])], float(measure.hits[i])),
            (row, 2 * column[int(place[i])] + 1, 1.0),
        )
    ]
    return Sums.of([judged.items[i].record for i in rows], cells, 2 * len(groups), how)


def _gap(sums: FloatArray) -> FloatArray:
    rates = sums[:, ::2] / sums[:, 1::2]
    result: FloatArray = rates.max(axis=1) - rates.min(axis=1)
    return result


def _ratio(sums: FloatArray) -> FloatArray:
    rates = sums[:, ::2] / sums[:, 1::2]
    top = rates.max(axis=1)
    result: FloatArray = np.where(top > 0, rates.min(axis=1) / top, np.nan)
    return result


def shuffled_p(
    judged: Judged,
    found: Sequence[Measure],
    place: NDArray[np.int64],
    groups: Sequence[Sequence[int]],
) -> list[float]:
    """Return how often a shuffled attribute gives a gap as large, per measure, never 0.

    A unit keeps its items together: the part of a cluster that has one value of the attribute.
    """
    cluster = clusters_of(judged.records)[1]
    units, unit = np.unique(cluster * (place.max() + 2) + place, return_inverse=True)
    value = np.zeros(len(units), dtype=np.int64)
    value[unit] = place
    tables = []
    for amounts in ([m.hits * m.counted for m in found], [m.counted for m in found]):
        table = np.zeros((len(units), len(found)))
        np.add.at(table, unit, np.stack(amounts, axis=1).astype(np.float64))
        tables.append(table)
    known = value >= 0
    hits, counts, value = tables[0][known], tables[1][known], value[known]
    allowed = np.asarray([[g in listed for g in range(place.max() + 1)] for listed in groups])
    seen = _spread(value[None, :], hits, counts, allowed)[0]
    rng = np.random.default_rng(SEED)
    above = np.zeros(len(found))
    for _ in range(0, SHUFFLES, BATCH):
        mixed = rng.permuted(np.tile(value, (BATCH, 1)), axis=1)
        above += (_spread(mixed, hits, counts, allowed) >= seen - 1e-12).sum(axis=0)
    return [float(p) for p in (above + 1) / (SHUFFLES + 1)]


def _spread(
    value: NDArray[np.int64], hits: FloatArray, counts: FloatArray, allowed: NDArray[np.bool_]
) -> FloatArray:
    """Return max - min over the allowed groups, [shuffles, measures]."""
    rates = []
    for group in range(allowed.shape[1]):
        inside = (value == group).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates.append((inside @ hits) / (inside @ counts))
    table = np.where(allowed.T[:, None, :], np.stack(rates), np.nan)
    filled = np.isnan(table)
    high = np.where(filled, -np.inf, table).max(axis=0)
    low = np.where(filled, np.inf, table).min(axis=0)
    result: FloatArray = high - low
    return result


def _notes(
    attribute: str, counts: Sequence[tuple[str, int]], missing: int, kept: Sequence[Measure]
) -> tuple[str, ...]:
    notes = []
    if missing:
        notes.append(f"{missing} items have no {attribute} and are in no group")
    small = [f"{group} ({n})" for group, n in counts if n < SMALL]
    if small:
        words = f"too small to say, under {SMALL} items: {', '.join(small)}; collect more of them"
        notes.append(words)
    if not kept:
        notes.append("no measure has two groups that are large enough to compare")
    return tuple(notes)
