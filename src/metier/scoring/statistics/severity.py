"""Ratings corrected for who gave them: some raters are strict, some rate the harder items.

    found = correct_severity([Rating("item 1", "ana", "tuned", 4), ...])
    found.candidates[0].corrected      # the mean an average rater would give on an average item

The model is additive (``severity_fit``). Why not the many-facet Rasch model (Linacre 1989), which
is made for ordered categories: the corrected mean is wanted on the scale of the ratings, where
targets are set; differences of means, which decide, are linear in both; and with the few ratings
per rater that a panel gives, Rasch thresholds are hardly determined. Where most ratings lie at an
end of the scale both are poor: the fit says so.

Raters are random effects: these are some of the raters there could have been. The intervals draw
the items anew and keep the raters; how much another panel of as many would move all means
together is ``panel_error``. Differences between candidates do not have that error.

Sources: Linacre (1989), Many-Facet Rasch Measurement, MESA Press, for severity, fit and connected
subsets; Brennan (2001), Generalizability Theory, Springer, for the additive model of raters and
items as random effects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.scoring.base import mean_statistic
from metier.scoring.statistics.bootstrap import (
    Correction,
    FloatArray,
    ends,
    estimate,
    size_warnings,
    undefined,
)
from metier.scoring.statistics.severity_fit import Design, Fit, Rating, fit, redrawn
from metier.scoring.types import DEFAULT, Resampling

NOISY = 1.5
"""Residual mean square, relative to all raters', from which a rater is called noisy (Linacre's
usual bound on outfit)."""
AT_THE_END = 0.6
"""Share of ratings at one end of the scale from which corrections are doubtful."""


@dataclass(frozen=True, slots=True)
class CandidateMean:
    """A candidate's mean as rated (``raw``), and for an average rater and item (``corrected``)."""

    candidate: str
    raw: Estimate
    corrected: Estimate


@dataclass(frozen=True, slots=True)
class RaterSeverity:
    """``severity``: points under the average rater (negative: lenient). ``misfit``: mean square of
    what the model leaves, relative to all; 1 is as steady as the others."""

    rater: str
    severity: Estimate
    ratings: int
    misfit: float


@dataclass(frozen=True, slots=True)
class CandidateDifference:
    """``first`` less ``second``, corrected; ``estimate`` undefined where nothing connects them."""

    first: str
    second: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class SeverityReport:
    """Ratings of one dimension, corrected. ``subsets``: candidates that the raters connect."""

    candidates: tuple[CandidateMean, ...]
    raters: tuple[RaterSeverity, ...]
    differences: tuple[CandidateDifference, ...]
    subsets: tuple[tuple[str, ...], ...]
    sd_rater: float
    sd_item: float
    sd_noise: float
    panel_error: float
    ratings: int
    items: int
    warnings: tuple[str, ...] = ()

    @property
    def ranking(self) -> tuple[str, ...]:
        """The candidates, best corrected mean first."""
        found = sorted(self.candidates, key=lambda one: -one.corrected.value)
        return tuple(one.candidate for one in found)


def correct_severity(
    ratings: Sequence[Rating],
    scale: tuple[float, float] = (1, 5),
    resampling: Resampling = DEFAULT,
) -> SeverityReport:
    """Correct ratings on ``scale`` for the severity of raters and the difficulty of items.

    Raises InputError without ratings, or for one outside the scale.
    """
    _check(ratings, scale)
    design = Design.of(ratings)
    found = fit(design)
    drawn = redrawn(found, resampling)
    subsets = connected(ratings)
    size = len(design.candidates)
    return SeverityReport(
        candidates=_means(ratings, found, drawn[:, :size], resampling, scale),
        raters=_raters(found, drawn[:, size:], resampling),
        differences=_differences(found, drawn[:, :size], subsets, resampling),
        subsets=subsets,
        sd_rater=found.sd_rater,
        sd_item=found.sd_item,
        sd_noise=found.sd_noise,
        panel_error=found.sd_rater / math.sqrt(len(design.raters)),
        ratings=len(ratings),
        items=len(design.items),
        warnings=_warnings(design, subsets, scale),
    )


def connected(ratings: Sequence[Rating]) -> tuple[tuple[str, ...], ...]:
    """Return the candidates in groups that raters connect: two are in one group when somebody
    rated both, or a chain of such raters leads from one to the other.

    Across groups a strict group of raters cannot be told from a poor candidate.
    """
    root = {one.candidate: one.candidate for one in ratings}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    first: dict[str, str] = {}
    for one in ratings:
        ours, theirs = find(first.setdefault(one.rater, one.candidate)), find(one.candidate)
        root[max(ours, theirs)] = min(ours, theirs)
    groups: dict[str, list[str]] = {}
    for name in sorted(root):
        groups.setdefault(find(name), []).append(name)
    return tuple(tuple(names) for names in groups.values())


def _check(ratings: Sequence[Rating], scale: tuple[float, float]) -> None:
    if not ratings:
        raise InputError("ratings", got="none", remedy="let the panel rate first")
    for one in ratings:
        if not scale[0] <= one.value <= scale[1]:
            raise InputError(f"ratings from {scale[0]:g} to {scale[1]:g}", got=f"{one.value:g}")


def _means(
    ratings: Sequence[Rating],
    found: Fit,
    drawn: FloatArray,
    resampling: Resampling,
    scale: tuple[float, float],
) -> tuple[CandidateMean, ...]:
    design, rows = found.design, []
    for place, name in enumerate(design.candidates):
        mine = [one for one in ratings if one.candidate == name]
        records = [Score(one.item, one.value, cluster=one.group) for one in mine]
        raw = _raw(records, resampling, scale)
        n = len({one.item for one in mine})
        clusters = len({one.group or f"item:{one.item}" for one in mine})
        value = float(found.means[place])
        corrected = _interval(value, drawn[:, place], (n, clusters), resampling)
        rows.append(CandidateMean(name, raw, corrected))
    return tuple(rows)


def _raters(found: Fit, drawn: FloatArray, resampling: Resampling) -> tuple[RaterSeverity, ...]:
    design, rows = found.design, []
    squares = found.residuals**2
    usual = float(squares.mean()) or 1.0
    for place, name in enumerate(design.raters):
        mine = design.rater == place
        n = len(set(design.item[mine].tolist()))
        severity = _interval(-float(found.leanings[place]), -drawn[:, place], (n, n), resampling)
        misfit = float(squares[mine].mean()) / usual
        rows.append(RaterSeverity(name, severity, int(mine.sum()), misfit))
    return tuple(rows)


def _differences(
    found: Fit, drawn: FloatArray, subsets: Sequence[Sequence[str]], resampling: Resampling
) -> tuple[CandidateDifference, ...]:
    design, rows = found.design, []
    group = {name: number for number, names in enumerate(subsets) for name in names}
    items = [
        set(design.item[design.candidate == i].tolist()) for i in range(len(design.candidates))
    ]
    for i, j in combinations(range(len(design.candidates)), 2):
        first, second = design.candidates[i], design.candidates[j]
        n = len(items[i] | items[j])
        if group[first] != group[second]:
            why = f"no rater, nor a chain of raters, rated both {first} and {second}"
            rows.append(CandidateDifference(first, second, undefined(why, n, n)))
            continue
        value = float(found.means[i] - found.means[j])
        one = _interval(value, drawn[:, i] - drawn[:, j], (n, n), resampling)
        rows.append(CandidateDifference(first, second, one))
    return tuple(rows)


def _interval(
    value: float, drawn: FloatArray, counts: tuple[int, int], resampling: Resampling
) -> Estimate:
    """Return the percentile interval of the draws in which the quantity is defined."""
    n, clusters = counts
    notes, level = size_warnings(n, clusters), resampling.level
    there = drawn[~np.isnan(drawn)]
    why = _too_little(n, there, level)
    if why:
        return Estimate(value, math.nan, math.nan, n, clusters, level, "", (why, *notes))
    low, high = ends(there, level, Correction())
    name = f"mixed model; items drawn anew, {len(there)} resamples"
    low, high = min(low, value), max(high, value)
    return Estimate(value, low, high, n, clusters, level, name, notes)


def _raw(records: Sequence[Score], resampling: Resampling, scale: tuple[float, float]) -> Estimate:
    """The mean as rated, whose interval has to stand on as much as that of the corrected one."""
    values = [one.value for one in records]
    found = estimate(mean_statistic(records, values), resampling, scale)
    n = len({one.example_id for one in records})
    why = _too_little(n, np.asarray([found.low, found.high]), resampling.level)
    if not why:
        return found
    return replace(found, low=math.nan, high=math.nan, warnings=(why, *found.warnings))


def _too_little(n: int, drawn: FloatArray, level: float) -> str:
    """Why there can be no interval; "" where there can be one."""
    if n < least_items(level):
        words = "item" if n == 1 else "items"
        return f"only {n} {words}: a {level:.0%} interval takes at least {least_items(level)}"
    if not len(drawn) or float(np.ptp(drawn)) < 1e-12:
        return "the ratings do not vary: no interval can be had"
    return ""


def least_items(level: float) -> int:
    """Return how many items it takes until resampling them can give an interval of this level.

    No resample lies outside the items there are, and all n lie on one side of their median with
    probability 2 ** (1 - n): under 6 items even their whole range holds it in less than 95%.
    """
    return math.ceil(1 - math.log2(1 - level))


def _warnings(
    design: Design, subsets: Sequence[Sequence[str]], scale: tuple[float, float]
) -> tuple[str, ...]:
    notes = []
    if len(design.raters) == 1:
        notes.append("one rater only: their severity cannot be told, nothing is corrected")
    if len(subsets) > 1:
        parts = "; ".join(", ".join(names) for names in subsets)
        notes.append(
            f"the raters do not connect all candidates, but these groups: {parts}. Across groups a "
            "strict rater looks like a poor candidate; let some raters rate items of both"
        )
    if not np.any(design.sizes >= 2):
        notes.append("every item was rated once: hard items cannot be told from strict raters")
    for end in scale:
        share = float(np.mean(design.values == end))
        if share >= AT_THE_END:
            notes.append(
                f"{share:.0%} of the ratings are {end:g}, an end of the scale: differences that "
                "lie beyond it are lost, and no model brings them back"
            )
    return tuple(notes)
