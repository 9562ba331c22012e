"""Slices: parts of the test set, each with its own number and its difference to the rest.

Declared slices are those of the data's sources (``[data] sources = [{ slices = ["channel"] }]``);
all are shown. Others are discovered: simple statements about the input are looked for on one half
of the items (groups stay whole) and reported only from the other half, where they were not
chosen. Differences are in the item metric and corrected for how many were tested (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Estimate
from metier.evaluate.failures.contrasts import contrast
from metier.evaluate.failures.items import Judged
from metier.evaluate.failures.predicates import Facts, Trait, declared_traits, facts_of, traits
from metier.evaluate.measures import label_fields
from metier.scoring import Resampling, make_metric
from metier.scoring.statistics import power
from metier.scoring.statistics.multiplicity import holm

Mask = NDArray[np.bool_]
SMALL = 20
DROP = 0.1
"""The difference, as a share of the metric's range, that "enough items" means to show."""
TRIED = 12
"""Statements taken from the first half to the second."""
ALPHA = 0.05
OVERLAP = 0.6
"""Two statements true of nearly the same items (Jaccard) are one; the stronger is kept."""


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One slice. ``estimate`` is the primary metric's, ``difference`` the item metric's to the
    rest; ``adjusted_p`` is Holm's. Of a slice that is "too_small" nothing is said but
    ``items_needed``, the items in all that would show a difference of ``DROP``."""

    name: str
    kind: Literal["declared", "discovered"]
    state: Literal["worse", "better", "alike", "too_small"]
    n: int
    clusters: int
    estimate: Estimate | None = None
    difference: Estimate | None = None
    p_value: float = math.nan
    adjusted_p: float = math.nan
    items_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Slices:
    """All slices of one evaluation, worst first; ``tested`` statements were looked at to discover,
    and ``notes`` say how, or why none could be."""

    metric: str
    item_metric: str
    declared: tuple[SliceResult, ...]
    discovered: tuple[SliceResult, ...]
    tested: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A trait and the items it is true of."""

    trait: Trait
    mask: Mask


def find_slices(judged: Judged, resampling: Resampling) -> Slices:
    """Return declared and discovered slices. Deterministic."""
    facts = facts_of_items(judged)
    declared = _results(
        judged, [Part(t, t.mask(facts)) for t in declared_traits(facts)], "declared", resampling
    )
    discovered, tested, notes = _discover(judged, facts, resampling)
    if judged.item_metric != judged.metric:
        words = f"what {judged.metric} is in a slice depends on the classes it holds, so "
        notes = (f"{words}differences are in {judged.item_metric}", *notes)
    return Slices(judged.metric, judged.item_metric, declared, discovered, tested, notes)


def facts_of_items(judged: Judged) -> list[Facts]:
    """Return the facts of every item, its expected labels among them."""
    fields = list(label_fields(judged.objective))
    return [facts_of(item.example, item.record.expected, fields) for item in judged.items]


def halves(judged: Judged) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the items into two halves with whole groups, the same ones whatever their order."""
    names = [item.record.cluster or item.record.example_id for item in judged.items]
    order = sorted(set(names), key=lambda name: blake2b(name.encode()).digest())
    first = set(order[::2])
    mine = np.asarray([name in first for name in names], dtype=bool)
    return np.flatnonzero(mine), np.flatnonzero(~mine)


def _discover(
    judged: Judged, facts: Sequence[Facts], resampling: Resampling
) -> tuple[tuple[SliceResult, ...], int, tuple[str, ...]]:
    if len(judged.items) < 4 * SMALL:
        words = f"too few items to look for slices in: {len(judged.items)}, of {4 * SMALL} needed"
        return (), 0, (words,)
    seek, prove = halves(judged)
    looked = traits([facts[i] for i in seek], least=SMALL // 2)
    looked = [trait for trait in looked if trait.kind != "declared"]
    chosen = _worst(judged.part(seek), [facts[i] for i in seek], looked)
    rest, seen = judged.part(prove), [facts[i] for i in prove]
    parts = [Part(trait, trait.mask(seen)) for trait in chosen]
    found = _results(rest, parts, "discovered", resampling)
    kept = tuple(one for one in found if one.state in ("worse", "too_small"))
    note = (
        f"{len(looked)} statements about the input were looked at on {len(seek)} items; "
        f"{len(chosen)} that stood out were tested on the other {len(prove)}, whose numbers these "
        f"are: {sum(one.state == 'worse' for one in kept)} held"
    )
    return kept, len(looked), (note,)


def _worst(judged: Judged, facts: Sequence[Facts], looked: Sequence[Trait]) -> list[Trait]:
    """Return the traits under which the item metric is worse, the surest first."""
    values, clusters = worse_is_lower(judged), judged.clusters
    scored: list[tuple[float, str, Part]] = []
    for trait in looked:
        part = Part(trait, trait.mask(facts))
        found = contrast(values, clusters, part.mask, judged.span)
        if found.estimate.value < 0 and found.p_value < ALPHA:
            scored.append((found.p_value, trait.words, part))
    kept: list[Part] = []
    for _, _, part in sorted(scored, key=lambda one: one[:2]):
        if len(kept) < TRIED and all(_overlap(part, other) < OVERLAP for other in kept):
            kept.append(part)
    return [part.trait for part in kept]


def worse_is_lower(judged: Judged) -> NDArray[np.float64]:
    """Return the item metric's values, turned round where less is better (within their span)."""
    values = judged.values
    if judged.info.higher_is_better:
        return values
    return -values if judged.span is None else sum(judged.span) - values


def _overlap(a: Part, b: Part) -> float:
    either = int((a.mask | b.mask).sum())
    return int((a.mask & b.mask).sum()) / either if either else 0.0


def _results(
    judged: Judged,
    parts: Sequence[Part],
    kind: Literal["declared", "discovered"],
    resampling: Resampling,
) -> tuple[SliceResult, ...]:
    """Measure parts and correct their p-values together; a part that is all of it is left out."""
    clusters = judged.clusters
    rows: list[SliceResult] = []
    for part in parts:
        n = int(part.mask.sum())
        if n == len(judged.items):
            continue
        count = len(np.unique(clusters[part.mask]))
        row = SliceResult(part.trait.words, kind, "too_small", n, count)
        if n < SMALL:
            rows.append(replace(row, items_needed=items_to_tell(judged, part.mask)))
        else:
            rows.append(_measured(judged, part, row, resampling))
    return tuple(sorted(_judge(rows, judged), key=_rank))


def _measured(judged: Judged, part: Part, row: SliceResult, resampling: Resampling) -> SliceResult:
    metric = make_metric(judged.metric, objective=judged.objective)
    records = judged.part(np.flatnonzero(part.mask)).records
    found = contrast(judged.values, judged.clusters, part.mask, judged.span, resampling.level)
    estimate = metric(records, resampling)
    return replace(row, estimate=estimate, difference=found.estimate, p_value=found.p_value)


def _judge(rows: Sequence[SliceResult], judged: Judged) -> list[SliceResult]:
    tested = [index for index, row in enumerate(rows) if not math.isnan(row.p_value)]
    adjusted = holm([rows[index].p_value for index in tested])
    up = judged.info.higher_is_better
    found = [replace(row, state="alike") if row.difference else row for row in rows]
    for index, p in zip(tested, adjusted, strict=True):
        row, state = found[index], found[index].state
        if p < ALPHA and row.difference is not None:
            state = "better" if (row.difference.value > 0) == up else "worse"
        found[index] = replace(row, adjusted_p=p, state=state)
    return found


def _rank(row: SliceResult) -> tuple[int, float, str]:
    states = ("worse", "alike", "better", "too_small")
    return (
        states.index(row.state),
        row.adjusted_p if row.adjusted_p == row.adjusted_p else 1,
        row.name,
    )


def items_to_tell(judged: Judged, mask: Mask) -> int | None:
    """Return the items a slice needs to show that it is worse than the rest by ``DROP`` of the
    metric's range, four times out of five; None where the metric has no range."""
    if judged.span is None:
        return None
    low, high = judged.span
    rest = float((worse_is_lower(judged)[~mask].mean() - low) / (high - low))
    goal = min(max(rest, 0.01), 0.99)
    assumed = goal - DROP if goal > DROP else goal / 2
    return power.items_for_proportion(goal, assumed)
