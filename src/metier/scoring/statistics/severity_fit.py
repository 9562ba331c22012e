"""The additive mixed model of ratings, fitted by REML.

    rating = candidate + item + rater + noise        item, rater, noise ~ normal around 0

Candidates are fixed; items and raters are random effects with variances of their own, so that
nothing has to be balanced: who rated little is pulled towards the average rater, and comparisons
between raters of different items still count for what they are worth. With the ratios of the
standard deviations t_item, t_rater (to that of the noise) given, estimates are those of one linear
system; the ratios minimise the REML deviance.

Items are absorbed: item i enters through its sums alone, weighted t^2 / (t^2 n_i + 1), and the
system that is solved has one row per candidate and rater.

Sources: Henderson (1975), Biometrics 31(2), the mixed model equations; Bates, Maechler, Bolker and
Walker (2015), Journal of Statistical Software 67(1), section 3, the profiled REML deviance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from metier.scoring.statistics.bootstrap import CELLS, FloatArray, draws
from metier.scoring.types import Resampling


@dataclass(frozen=True, slots=True)
class Rating:
    """What one rater gave one candidate's reply to one item. ``group``: the customer, patient or
    conversation the item comes from, which is drawn as a whole ("": the item alone)."""

    item: str
    rater: str
    candidate: str
    value: float
    group: str = ""


@dataclass(frozen=True)
class Design:
    """Ratings in long form, with the sums that the model needs."""

    items: tuple[str, ...]
    raters: tuple[str, ...]
    candidates: tuple[str, ...]
    item: NDArray[np.int64]
    rater: NDArray[np.int64]
    candidate: NDArray[np.int64]
    values: FloatArray
    groups: tuple[str, ...]

    @classmethod
    def of(cls, ratings: Sequence[Rating]) -> Design:
        """Index the ratings; candidates and raters in order of their names."""
        items, item = _named([one.item for one in ratings])
        raters, rater = _named([one.rater for one in ratings])
        candidates, candidate = _named([one.candidate for one in ratings])
        group = {one.item: one.group or f"item:{one.item}" for one in ratings}
        values = np.asarray([one.value for one in ratings], dtype=np.float64)
        groups = tuple(group[one] for one in items)
        return cls(items, raters, candidates, item, rater, candidate, values, groups)

    @property
    def width(self) -> int:
        """Candidates and raters: the unknowns that are solved for."""
        return len(self.candidates) + len(self.raters)

    @cached_property
    def rows(self) -> csr_array:
        """One row per rating: its candidate and its rater [ratings, width]."""
        n = len(self.values)
        columns = np.column_stack([self.candidate, len(self.candidates) + self.rater]).ravel()
        places = (np.repeat(np.arange(n), 2), columns)
        return csr_array((np.ones(2 * n), places), shape=(n, self.width))

    @cached_property
    def of_item(self) -> csr_array:
        """Which ratings are of which item [items, ratings]."""
        n = len(self.values)
        return csr_array((np.ones(n), (self.item, np.arange(n))), shape=(len(self.items), n))

    @cached_property
    def sizes(self) -> FloatArray:
        """Ratings per item [items]."""
        return np.bincount(self.item, minlength=len(self.items)).astype(np.float64)


def _named(column: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    names = tuple(sorted(set(column)))
    at = {name: index for index, name in enumerate(names)}
    return names, np.asarray([at[one] for one in column], dtype=np.int64)


@dataclass(frozen=True)
class Fit:
    """Estimates: ``means`` [candidates]; ``leanings`` [raters] and ``items`` [items] are what a
    rater or item adds; standard deviations in points of the scale."""

    design: Design
    means: FloatArray
    leanings: FloatArray
    items: FloatArray
    sd_item: float
    sd_rater: float
    sd_noise: float
    ratios: tuple[float, float]

    @property
    def residuals(self) -> FloatArray:
        """What the model leaves of each rating."""
        d = self.design
        known = self.means[d.candidate] + self.leanings[d.rater] + self.items[d.item]
        return np.asarray(d.values - known, dtype=np.float64)


@dataclass(frozen=True)
class _Moments:
    """All that the deviance needs, summed once. Items of as many ratings are absorbed alike, so
    their products are kept per size: ``inner`` [sizes, width, width], ``cross`` [sizes, width],
    ``squares`` [sizes], of ``count`` items each."""

    gram: FloatArray
    target: FloatArray
    square: float
    sizes: FloatArray
    count: FloatArray
    inner: FloatArray
    cross: FloatArray
    squares: FloatArray
    sums: csr_array
    totals: FloatArray


def fit(design: Design) -> Fit:
    """Fit the model. Raises nothing: what cannot be told apart from noise gets no variance."""
    from scipy.optimize import minimize

    moments = _moments(design)
    free = _identifiable(design, moments)
    if not any(free):
        return _solved(design, moments, (0.0, 0.0))

    def deviance(found: FloatArray) -> float:
        return _deviance(design, moments, _ratios(found, free))

    starts = [np.full(sum(free), 1.0), np.full(sum(free), 0.2)]
    options = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2_000}
    tries = [minimize(deviance, x, method="Nelder-Mead", options=options) for x in starts]
    best = min(tries, key=lambda one: float(one.fun))
    return _solved(design, moments, _ratios(best.x, free))


def redrawn(found: Fit, resampling: Resampling) -> FloatArray:
    """Return means and leanings [resamples, candidates + raters] of items drawn with replacement,
    whole groups at a time; an item that is drawn twice counts as two. The ratios of the standard
    deviations stay as they are, so each draw is one linear system. NaN: the draw lacks it."""
    design, width = found.design, found.design.width
    groups, place = np.unique(np.asarray(found.design.groups), return_inverse=True)
    table = _pieces(found, place.astype(np.int64), len(groups))
    scale = _scale(design, found.ratios[1])
    ridge = np.diag(np.r_[np.zeros(len(design.candidates)), np.ones(len(design.raters))])
    parts = []
    for weights in draws(len(groups), min(width * width, CELLS), resampling):
        sums = np.asarray((table.T @ weights.T).T, dtype=np.float64)
        left = sums[:, : width * width].reshape(-1, width, width) + ridge
        empty = np.einsum("rii->ri", left) == 0
        left[:, range(width), range(width)] += empty
        solved = np.linalg.solve(left, sums[:, width * width :, None])[:, :, 0] * scale
        parts.append(np.where(empty, np.nan, solved))
    return np.concatenate(parts)


def _pieces(found: Fit, place: NDArray[np.int64], groups: int) -> csr_array:
    """Return each group's part of the linear system [groups, width * width + width]."""
    design, width = found.design, found.design.width
    scale = _scale(design, found.ratios[1])
    pull = _pull(design.sizes, found.ratios[0])
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]] = []
    pairs = np.column_stack([design.candidate, len(design.candidates) + design.rater])
    order = np.argsort(design.item, kind="stable")
    for index, mine in enumerate(np.split(order, np.cumsum(design.sizes.astype(int))[:-1])):
        rows = np.zeros((len(mine), width))
        rows[np.arange(len(mine))[:, None], pairs[mine]] = 1.0
        rows *= scale
        total, values = rows.sum(axis=0), design.values[mine]
        piece = rows.T @ rows - pull[index] * np.outer(total, total)
        side = rows.T @ values - pull[index] * total * values.sum()
        flat = np.concatenate([piece.ravel(), side])
        there = np.flatnonzero(flat)
        entries.append((np.full(len(there), place[index]), there, flat[there]))
    row, column, amount = (np.concatenate(one) for one in zip(*entries, strict=True))
    return csr_array((amount, (row, column)), shape=(groups, width * width + width))


def _moments(design: Design) -> _Moments:
    rows = design.rows
    sums = csr_array(design.of_item @ rows)
    totals = np.asarray(design.of_item @ design.values, dtype=np.float64)
    sizes, count = np.unique(design.sizes, return_counts=True)
    alike = [design.sizes == size for size in sizes]
    return _Moments(
        gram=np.asarray((rows.T @ rows).todense(), dtype=np.float64),
        target=np.asarray(rows.T @ design.values, dtype=np.float64),
        square=float(design.values @ design.values),
        sizes=sizes,
        count=count.astype(np.float64),
        inner=np.stack([(sums[one].T @ sums[one]).toarray() for one in alike]),
        cross=np.stack([sums[one].T @ totals[one] for one in alike]),
        squares=np.asarray([totals[one] @ totals[one] for one in alike], dtype=np.float64),
        sums=sums,
        totals=totals,
    )


def _identifiable(design: Design, moments: _Moments) -> tuple[bool, bool]:
    """Say whether items and raters can be told from noise and from the candidates at all."""
    items = bool(np.any(design.sizes >= 2)) and len(design.items) > 1
    rank = int(np.linalg.matrix_rank(moments.gram))
    repeated = bool(np.any(np.bincount(design.rater) >= 2))
    return items, rank > len(design.candidates) and repeated


def _ratios(found: FloatArray, free: tuple[bool, bool]) -> tuple[float, float]:
    values = iter(np.abs(found).tolist())
    return (next(values) if free[0] else 0.0, next(values) if free[1] else 0.0)


def _scale(design: Design, rater: float) -> FloatArray:
    """Return what multiplies each column: raters are solved for in units of their ratio."""
    scale: FloatArray = np.ones(design.width)
    scale[len(design.candidates) :] = rater
    return scale


def _pull(sizes: FloatArray, item: float) -> FloatArray:
    """Return the weight with which items of these sizes are absorbed."""
    return np.asarray(item**2 / (item**2 * sizes + 1), dtype=np.float64)


def _system(
    design: Design, moments: _Moments, ratios: tuple[float, float]
) -> tuple[FloatArray, FloatArray, float]:
    """Return left side, right side, and the squares before anything is explained."""
    scale, pull = _scale(design, ratios[1]), _pull(moments.sizes, ratios[0])
    inner = np.tensordot(pull, moments.inner, axes=1)
    left = (moments.gram - inner) * np.outer(scale, scale)
    first = len(design.candidates)
    left[range(first, design.width), range(first, design.width)] += 1.0
    right = scale * (moments.target - pull @ moments.cross)
    return left, right, moments.square - float(pull @ moments.squares)


def _deviance(design: Design, moments: _Moments, ratios: tuple[float, float]) -> float:
    """Return the profiled REML deviance less its constant."""
    left, right, square = _system(design, moments, ratios)
    sign, logdet = np.linalg.slogdet(left)
    if sign <= 0:
        return float("inf")
    residual = max(square - float(right @ np.linalg.solve(left, right)), 1e-12)
    items = float(moments.count @ np.log1p(ratios[0] ** 2 * moments.sizes))
    degrees = len(design.values) - len(design.candidates)
    return items + float(logdet) + degrees * float(np.log(residual))


def _solved(design: Design, moments: _Moments, ratios: tuple[float, float]) -> Fit:
    left, right, square = _system(design, moments, ratios)
    solved = np.linalg.solve(left, right)
    degrees = max(len(design.values) - len(design.candidates), 1)
    noise = float(np.sqrt(max(square - float(right @ solved), 0.0) / degrees))
    solved = solved * _scale(design, ratios[1])
    size = len(design.candidates)
    left_over = moments.totals - moments.sums @ solved
    items = _pull(design.sizes, ratios[0]) * left_over
    spread = (ratios[0] * noise, ratios[1] * noise)
    return Fit(design, solved[:size], solved[size:], items, *spread, noise, ratios)
