"""Coefficients of agreement between people, each with an interval over resampled items.

coefficient    people   missing answers   kind of answer                      source
percent        any      yes               any                                 Fleiss (1971)
Cohen          two      left out          nominal; weighted: ordinal          Cohen (1960, 1968)
Fleiss         any      yes, see there    nominal                             Fleiss (1971)
Krippendorff   any      yes               nominal, ordinal, interval, sets    Krippendorff (2011)

Sources: Cohen (1960), Educational and Psychological Measurement 20(1); Cohen (1968), Psychological
Bulletin 70(4); Fleiss (1971), Psychological Bulletin 76(5); Krippendorff (2011), Computing
Krippendorff's Alpha-Reliability, https://repository.upenn.edu/asc_papers/43. Resampling whole items
keeps together what several people said of one; Krippendorff's own bootstrap draws pairs instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from metier.core.errors import InputError
from metier.core.types import Estimate
from metier.scoring.statistics.agreement import kappa_cells, kappa_of
from metier.scoring.statistics.agreement_answers import (
    BEYOND_CHANCE,
    Answers,
    Value,
    measured,
)
from metier.scoring.statistics.bootstrap import FloatArray, Sums, clusters_of, undefined
from metier.scoring.types import DEFAULT, Resampling

Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["none", "linear", "quadratic"]
Distance = Callable[[Value, Value], float]


def percent(answers: Answers, resampling: Resampling = DEFAULT) -> Estimate:
    """Return the share of agreeing pairs of people per item, averaged over items; 0 to 1."""
    found = answers.paired()
    agreeing = _agreeing(found)
    table = np.column_stack([agreeing, np.ones_like(agreeing)])
    return measured(answers, _sums(found, table, _ratio), resampling, (0.0, 1.0))


def cohen(
    answers: Answers,
    first: str,
    second: str,
    weights: Weights = "none",
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return Cohen's kappa of two people over the items that both answered.

    ``weights``: a miss costs the same however far (none), its distance on the scale (linear), or
    the square of it (quadratic); the scale is the order of ``answers.values``.
    """
    both = answers.of_people(first, second)
    if len(both.people) < 2:
        return undefined(f"{first} and {second} have no item in common", 0, 0, resampling.level)
    ours, theirs = (_column(both, name) for name in (first, second))
    cost = costs(len(both.values), weights)
    cells = kappa_cells(ours.tolist(), theirs.tolist(), cost)
    sums = Sums.of(both.records, cells, 1 + 2 * len(cost), kappa_of(cost))
    return measured(both, sums, resampling, BEYOND_CHANCE)


def fleiss(answers: Answers, resampling: Resampling = DEFAULT) -> Estimate:
    """Return Fleiss' kappa: anyone may have answered any item.

    With as many answers to each item it is Fleiss (1971), eq. (7). Where the numbers differ, an
    item counts once whatever its number, in the agreement as in the shares of the values (Gwet
    2014, Handbook of Inter-Rater Reliability, ch. 2).
    """
    found = answers.paired()
    shares = found.counts / np.maximum(found.sizes, 1)[:, None]
    agreeing = _agreeing(found)
    table = np.column_stack([agreeing, np.ones_like(agreeing), shares])

    def reduce(sums: FloatArray) -> FloatArray:
        seen, n = sums[:, 0] / sums[:, 1], sums[:, 1:2]
        chance = np.sum((sums[:, 2:] / n) ** 2, axis=1)
        return _over(seen - chance, 1 - chance)

    return measured(answers, _sums(found, table, reduce), resampling, BEYOND_CHANCE)


def krippendorff(
    answers: Answers,
    level: Level | Distance = "nominal",
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Return Krippendorff's alpha; 1 is perfect, 0 what chance gives.

    ``level``: the kind of the values, or a distance of two of them from 0 to 1 (e.g. ``masi``).
    ordinal takes the order of ``answers.values``; interval needs numbers.
    """
    found = answers.paired()
    kinds = {"nominal": _nominal, "ordinal": _ordinal, "interval": _interval}
    sums = _distances(found, level) if callable(level) else kinds[level](found)
    return measured(answers, sums, resampling, BEYOND_CHANCE)


def costs(size: int, weights: Weights) -> FloatArray:
    """Return what each miss costs [size, size]."""
    if weights == "none":
        return 1.0 - np.eye(size)
    steps = np.arange(size, dtype=np.float64)
    gaps: FloatArray = np.abs(steps[:, None] - steps[None, :])
    return gaps if weights == "linear" else gaps**2


def numbers_of(values: Sequence[Value]) -> FloatArray:
    """Return values as numbers. Raises InputError for one that is none."""
    try:
        return np.asarray([float(one) for one in values], dtype=np.float64)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(
            "numbers, as agreement on an interval scale needs them",
            got=", ".join(map(str, values[:3])),
        ) from None


# -- alpha: sums per item of 1 - (n - 1) * seen / expected -----------------------------------------


def _nominal(found: Answers) -> Sums:
    """Columns: disagreeing ordered pairs over (answers - 1), then the counts of each value."""
    apart = found.sizes**2 - np.sum(found.counts**2, axis=1)
    table = np.column_stack([apart / np.maximum(found.sizes - 1, 1), found.counts])

    def reduce(sums: FloatArray) -> FloatArray:
        n = sums[:, 1:].sum(axis=1)
        expected = n**2 - np.sum(sums[:, 1:] ** 2, axis=1)
        return _alpha(n, sums[:, 0], expected)

    return _sums(found, table, reduce)


def _interval(found: Answers) -> Sums:
    """Columns: squared differences over (answers - 1), answers, their sum, their squares' sum."""
    values = numbers_of(found.values)
    values = values - (values.mean() if len(values) else 0.0)  # alpha does not change; digits stay
    total, squares = found.counts @ values, found.counts @ values**2
    apart = 2 * (found.sizes * squares - total**2)
    table = np.column_stack([apart / np.maximum(found.sizes - 1, 1), found.sizes, total, squares])

    def reduce(sums: FloatArray) -> FloatArray:
        n = sums[:, 1]
        return _alpha(n, sums[:, 0], 2 * (n * sums[:, 3] - sums[:, 2] ** 2))

    return _sums(found, table, reduce)


def _ordinal(found: Answers) -> Sums:
    """Columns: coincidences. A value's place is its mid-rank among all answers of the resample, so
    that the distance is drawn anew with the items (Krippendorff 2011, section D)."""
    size = len(found.values)
    joint = found.counts[:, :, None] * found.counts[:, None, :]
    joint[:, range(size), range(size)] -= found.counts
    table = (joint / np.maximum(found.sizes - 1, 1)[:, None, None]).reshape(len(joint), size * size)

    def reduce(sums: FloatArray) -> FloatArray:
        pairs = sums.reshape(-1, size, size)
        counts = pairs.sum(axis=2)
        ranks = np.cumsum(counts, axis=1) - counts / 2
        apart = (ranks[:, :, None] - ranks[:, None, :]) ** 2
        expected = (counts[:, :, None] * counts[:, None, :] * apart).sum(axis=(1, 2))
        return _alpha(counts.sum(axis=1), (pairs * apart).sum(axis=(1, 2)), expected)

    return _sums(found, table, reduce)


def _distances(found: Answers, distance: Distance) -> Sums:
    """Columns: distances over (answers - 1), then the counts of each value."""
    apart = np.asarray([[distance(a, b) for b in found.values] for a in found.values])
    apart = apart.reshape(len(found.values), len(found.values))
    seen = np.einsum("ij,ij->i", found.counts @ apart, found.counts)
    table = np.column_stack([seen / np.maximum(found.sizes - 1, 1), found.counts])

    def reduce(sums: FloatArray) -> FloatArray:
        counts = sums[:, 1:]
        expected = np.einsum("ij,ij->i", counts @ apart, counts)
        return _alpha(counts.sum(axis=1), sums[:, 0], expected)

    return _sums(found, table, reduce)


def _alpha(n: FloatArray, seen: FloatArray, expected: FloatArray) -> FloatArray:
    return np.asarray(1 - _over((n - 1) * seen, expected), dtype=np.float64)


# -- shared ----------------------------------------------------------------------------------------


def _sums(found: Answers, table: FloatArray, reduce: Callable[[FloatArray], FloatArray]) -> Sums:
    """Add the items' rows of ``table`` up per resampling unit."""
    names, index = clusters_of(found.records)
    place = csr_array(
        (np.ones(len(index)), (index, np.arange(len(index)))), shape=(len(names), len(index))
    )
    return Sums(names, len(found.items), csr_array(place @ csr_array(table)), reduce)


def _agreeing(found: Answers) -> FloatArray:
    """Return the share of each item's pairs of people that agree."""
    pairs = found.sizes * (found.sizes - 1)
    same = np.sum(found.counts * (found.counts - 1), axis=1)
    return np.asarray(same / np.maximum(pairs, 1), dtype=np.float64)


def _ratio(sums: FloatArray) -> FloatArray:
    return _over(sums[:, 0], sums[:, 1])


def _over(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Return top / bottom, NaN where there is nothing to divide by."""
    small = np.abs(bottom) < 1e-12
    return np.asarray(np.where(small, np.nan, top / np.where(small, 1, bottom)), dtype=np.float64)


def _column(both: Answers, name: str) -> FloatArray:
    """Return one person's values, in the order of the items."""
    mine = both.person == both.people.index(name)
    order = np.argsort(both.item[mine], kind="stable")
    return np.asarray(both.value[mine][order])
