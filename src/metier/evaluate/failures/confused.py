"""Which classes are taken for which, more than independent errors would do it.

What a cell (expected i, got j) of the confusion table would hold by chance: items of i, times how
often i is wrong *otherwise*, times how often other classes' errors fall on j. Both rates leave
this cell out, so that a strong confusion does not explain itself, and lean on the whole table
where counts are small. The count is tested against a Poisson whose mean is itself uncertain, one
cluster counting once, and corrected over all cells of the table (Benjamini and Hochberg 1995):
classes that are hard, or answers that are given too often, do not stand out as pairs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metier.evaluate.failures.circumstances import circumstances
from metier.evaluate.failures.contrasts import at_least
from metier.evaluate.failures.hard_classes import class_clusters
from metier.evaluate.failures.items import Judged
from metier.evaluate.failures.predicates import CROWD, Facts
from metier.evaluate.failures.types import (
    ALPHA,
    Circumstance,
    FailureCluster,
    Kind,
    share_of,
    some_ids,
)
from metier.scoring.labels.classification import decisions, label_of
from metier.scoring.records import field_view
from metier.scoring.statistics.multiplicity import benjamini_hochberg
from metier.scoring.types import Resampling

LEAN = 20.0
"""Items, and errors, that the whole table's rates are worth in one cell's."""
NOTHING = ""
"""Stands for "no label": what is expected of an added one, what is got of a missed one."""
MISPLACED = " in the wrong place"
Cell = tuple[str, str]


@dataclass(frozen=True)
class Tally:
    """Who is in which cell: item indices by (expected, got), right answers among them."""

    cells: dict[Cell, set[int]]
    rows: dict[str, set[int]]
    several: bool

    @property
    def wrong(self) -> list[Cell]:
        """The cells of errors, sorted."""
        return sorted(cell for cell in self.cells if cell[0] != cell[1])


@dataclass(frozen=True, slots=True)
class Found:
    """One cell against chance."""

    cell: Cell
    items: frozenset[int]
    by_chance: float
    adjusted_p: float


def confusion_clusters(
    judged: Judged, facts: Sequence[Facts], field: str, resampling: Resampling
) -> list[FailureCluster]:
    """Return the clusters of one field with labels, those that stand out first, then by excess."""
    tally = tally_of(judged, field)
    found = cells_against_chance(judged, tally)
    groups = _pairs(found)
    clusters = [_cluster(judged, facts, tally, group, field, resampling) for group in groups]
    if not tally.several:
        told = {i for one in found if one.adjusted_p < ALPHA for i in one.items}
        labels = single_labels(judged, field)
        clusters += class_clusters(judged, facts, labels, told, field, resampling)
    return sorted(clusters, key=lambda one: (not one.stands_out, -one.excess, one.name))


def single_labels(judged: Judged, field: str) -> tuple[list[str | None], list[str | None]]:
    """Return the expected and the given label of every item."""
    view = field_view(judged.records, field) if field else judged.records
    return [label_of(one.expected) for one in view], [label_of(one.got) for one in view]


def tally_of(judged: Judged, field: str = "") -> Tally:
    """Count expected against got. Of several labels, what is missed is paired with what is added;
    alone it is paired with nothing."""
    view = field_view(judged.records, field) if field else judged.records
    cells: dict[Cell, set[int]] = defaultdict(set)
    rows: dict[str, set[int]] = defaultdict(set)
    several = False
    for index, record in enumerate(view):
        wanted, got = decisions(record.expected), decisions(record.got)
        several |= isinstance(record.expected, list | tuple)
        for label in wanted.values():
            rows[label].add(index)
        right = {wanted[key] for key in wanted.keys() & got.keys()}
        missed = sorted({wanted[key] for key in wanted.keys() - got.keys()})
        added = sorted({got[key] for key in got.keys() - wanted.keys()})
        for cell in _cells_of(missed, added):
            cells[cell].add(index)
        for label in right:
            cells[label, label].add(index)
    rows[NOTHING] = set(range(len(view)))
    return Tally(dict(cells), dict(rows), several)


def _cells_of(missed: Sequence[str], added: Sequence[str]) -> Iterator[Cell]:
    for one in missed or [NOTHING]:
        for other in added or [NOTHING]:
            if one or other:
                yield one, f"{other}{MISPLACED}" if one == other else other


def cells_against_chance(judged: Judged, tally: Tally) -> list[Found]:
    """Test every cell of errors, empty ones counted in the correction; those with errors return."""
    labels = sorted({label for cell in tally.cells for label in cell} | tally.rows.keys())
    possible = len(labels) * (len(labels) - 1)
    clusters = judged.clusters
    cells = tally.wrong
    counts = _Counts.of(tally, labels)
    chances = [counts.chance(cell) for cell in cells]
    p_values = []
    for cell, (rate, worth) in zip(cells, chances, strict=True):
        hit = len(set(clusters[sorted(tally.cells[cell])].tolist()))
        tried = len(set(clusters[sorted(tally.rows.get(cell[0], ()))].tolist()))
        p_values.append(at_least(hit, rate * tried, worth) if hit >= CROWD else 1.0)
    adjusted = benjamini_hochberg([*p_values, *[1.0] * max(0, possible - len(cells))])
    return [
        Found(cell, frozenset(tally.cells[cell]), rate * len(tally.rows.get(cell[0], ())), p)
        for cell, (rate, _), p in zip(cells, chances, adjusted, strict=False)
    ]


@dataclass(frozen=True)
class _Counts:
    """Margins of the table of errors. ``size`` counts items by expected label."""

    cell: Counter[Cell]
    row: Counter[str]
    column: Counter[str]
    size: Counter[str]
    labels: list[str]

    @classmethod
    def of(cls, tally: Tally, labels: list[str]) -> _Counts:
        cell = Counter({one: len(tally.cells[one]) for one in tally.wrong})
        row: Counter[str] = Counter()
        column: Counter[str] = Counter()
        for (i, j), n in cell.items():
            row[i] += n
            column[j] += n
        return cls(cell, row, column, Counter({k: len(v) for k, v in tally.rows.items()}), labels)

    def chance(self, cell: Cell) -> tuple[float, float]:
        """Return the chance that an item of the row falls into the cell by independent errors, and
        how many counts that number rests on; the cell's own count does not enter.

        Either the row's other errors fall on the column as other rows' errors do, or the column
        draws on this row as on the others: whichever explains more.
        """
        i, j = cell
        own, errors = self.cell[cell], sum(self.cell.values())
        items = sum(n for label, n in self.size.items() if label != NOTHING)
        overall = (errors - own) / max(items - own, 1)
        rows = self.row[i] - own + LEAN * overall
        lean = LEAN * self._usual(i, j)
        columns = self.column[j] - own + lean
        elsewhere = max(errors - self.row[i] - self.column[i], 0) + LEAN
        both = rows / (self.size[i] - own + LEAN) * columns / elsewhere
        others = sum(n for label, n in self.size.items() if label not in (i, j, NOTHING))
        drawn = (self.column[j] - own) / max(others, 1)
        if drawn > both:
            return min(drawn, 1.0), self.column[j] - own + 0.5
        return max(both, 1e-6), 1 / (1 / (rows + 0.5) + 1 / (columns + 0.5))

    def _usual(self, i: str, j: str) -> float:
        """Return the share of errors of i that fall on j where only class sizes count."""
        others = sum(n for label, n in self.size.items() if label not in (i, NOTHING))
        mean = others / max(len(self.labels) - 2, 1)
        size = mean if j == NOTHING else self.size[j]
        return size / max(others + mean, 1)


def _pairs(found: Sequence[Found]) -> list[list[Found]]:
    """Put the two directions of a pair together where both stand out."""
    sure = {one.cell: one for one in found if one.adjusted_p < ALPHA}
    groups: list[list[Found]] = []
    for one in found:
        i, j = one.cell
        back = sure.get((j, i)) if one.cell in sure else None
        if back is None:
            groups.append([one])
        elif i < j:
            groups.append([one, back])
    return groups


def _cluster(
    judged: Judged,
    facts: Sequence[Facts],
    tally: Tally,
    group: Sequence[Found],
    field: str,
    resampling: Resampling,
) -> FailureCluster:
    name, kind = _name([one.cell for one in group], field, tally.several)
    concerned = sorted(set().union(*(tally.rows.get(one.cell[0], set()) for one in group)))
    part, known = judged.part(concerned), [facts[i] for i in concerned]
    failing = set().union(*(one.items for one in group))
    failed = np.asarray([index in failing for index in concerned], dtype=bool)
    stands_out = min(one.adjusted_p for one in group) < ALPHA
    return FailureCluster(
        name=name,
        kind=kind,
        field=field,
        labels=tuple(dict.fromkeys(label for one in group for label in one.cell if label)),
        failed=int(failed.sum()),
        of=len(concerned),
        share=share_of(part, failed, resampling),
        by_chance=sum(one.by_chance for one in group),
        adjusted_p=max(one.adjusted_p for one in group),
        when=_when(part, known, failed, resampling) if stands_out else (),
        example_ids=some_ids(part, failed),
    )


def _when(
    part: Judged, facts: Sequence[Facts], failed: NDArray[np.bool_], resampling: Resampling
) -> tuple[Circumstance, ...]:
    """Compare failing items with right ones; items that fail otherwise are left out."""
    kept = np.flatnonzero(failed | (part.values >= 1.0))
    chosen = [facts[int(i)] for i in kept]
    return circumstances(part.part(kept), chosen, failed[kept], resampling, without=("expected",))


def _name(cells: Sequence[Cell], field: str, several: bool) -> tuple[str, Kind]:
    where = f"{field}: " if field else ""
    i, j = cells[0]
    if len(cells) > 1:
        return f"{where}confuses `{i}` and `{j}` with each other", "confusion"
    if j == f"{i}{MISPLACED}":
        return f"{where}finds `{i}`{MISPLACED}", "confusion"
    if j == NOTHING:
        return (
            (f"{where}misses `{i}`", "missed")
            if several
            else (f"{where}gives no readable answer where `{i}` is right", "unanswered")
        )
    if i == NOTHING:
        return f"{where}adds `{j}` where it is not wanted", "added"
    return f"{where}confuses `{i}` with `{j}`", "confusion"
