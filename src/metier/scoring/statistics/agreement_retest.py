"""Consistency: does a person say the same of the same item when it comes again, unmarked?

Nobody can agree with others better than with themselves, so this is the ceiling of the agreement
that a panel can reach (test-retest reliability).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from metier.core.types import Estimate, Score
from metier.scoring.statistics.agreement import kappa, quadratic_kappa, share_estimate
from metier.scoring.statistics.agreement_answers import Value
from metier.scoring.statistics.bootstrap import undefined
from metier.scoring.types import DEFAULT, Resampling


@dataclass(frozen=True, slots=True)
class Twice:
    """What one person said of one item the first and the second time."""

    person: str
    item: str
    first: Value
    second: Value


@dataclass(frozen=True, slots=True)
class Consistency:
    """One person with themselves, over ``n`` items that came twice.

    ``exact``: share of the same answers; ``within_one``: ratings at most one apart (None where
    the answers are no ratings); ``kappa``: the same beyond chance, of ratings weighted by the
    square of the distance, which is nearly the intraclass correlation (Fleiss and Cohen 1973).
    """

    person: str
    n: int
    exact: Estimate
    within_one: Estimate | None
    kappa: Estimate


def consistency(
    pairs: Iterable[Twice],
    scale: tuple[int, int] | None = None,
    resampling: Resampling = DEFAULT,
) -> list[Consistency]:
    """Return each person's consistency, by name. ``scale``: the answers are ratings on it."""
    by_person: dict[str, list[Twice]] = {}
    for one in pairs:
        by_person.setdefault(one.person, []).append(one)
    return [_of(name, by_person[name], scale, resampling) for name in sorted(by_person)]


def _of(
    name: str, pairs: Sequence[Twice], scale: tuple[int, int] | None, resampling: Resampling
) -> Consistency:
    within = None if scale is None else share_estimate(_shares(pairs, 1.0), resampling)
    exact = share_estimate(_shares(pairs, 0.0), resampling)
    return Consistency(name, len(pairs), exact, within, _kappa(pairs, scale, resampling))


def _shares(pairs: Sequence[Twice], reach: float) -> list[Score]:
    return [Score(one.item, float(_near(one, reach))) for one in pairs]


def _near(one: Twice, reach: float) -> bool:
    if reach == 0:
        return one.first == one.second
    return abs(float(one.first) - float(one.second)) <= reach  # type: ignore[arg-type]


def _kappa(
    pairs: Sequence[Twice], scale: tuple[int, int] | None, resampling: Resampling
) -> Estimate:
    given = {one.first for one in pairs} | {one.second for one in pairs}
    if len(given) < 2:
        why = "the same answer to every item that came twice: nothing varies"
        return undefined(why, len(pairs), len(pairs), resampling.level)
    records = [Score(one.item, None) for one in pairs]
    if scale is None:
        sides = [str(one.first) for one in pairs], [str(one.second) for one in pairs]
        return kappa(records, *sides, resampling)
    first = np.asarray([one.first for one in pairs], dtype=np.float64)
    second = np.asarray([one.second for one in pairs], dtype=np.float64)
    return quadratic_kappa(records, first.tolist(), second.tolist(), scale, resampling)
