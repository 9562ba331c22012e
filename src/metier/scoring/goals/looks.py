"""Looks at the sealed test set: how many there are, and at what level each is judged.

Who measures ten candidates on one test set and releases the best has chosen by its noise. A test
set is therefore frozen with a budget of looks, and the gate judges each at

    1 - alpha / budget        # 5 looks: 99%, and all five together are wrong at most 5% of the time

whichever look it is (equal spending, Bonferroni). The bound holds whatever the candidates have in
common, and also when each is chosen after the gate's answer to those before it: as long as the
answer is "not passed" there is one path of candidates, and a pass ends it (Dwork et al. 2015,
arXiv 1506.02629, section 1; Blum and Hardt 2015, arXiv 1502.04585). Beyond what the gate says,
the numbers shown are no secret: who tunes on them wears the set out faster than the bound knows,
which is why looks are few and the training data is another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from metier.scoring.statistics.intervals import NORMAL, z_of
from metier.scoring.statistics.multiplicity import simultaneous_level
from metier.scoring.tasks import shown_info
from metier.scoring.types import Resampling

if TYPE_CHECKING:
    from metier.scoring.goals.targets import TargetResult

LEVEL = 0.95
POWER = 0.8
FEWEST_NEW = 100
MARGIN = 0.05  # as planning assumes: the difference that is worth a test set
TAIL_DRAWS = 25


def look_level(budget: int, level: float = LEVEL) -> float:
    """Return the level at which each of ``budget`` looks is judged."""
    return simultaneous_level(level, budget)


def looks_words(used: int, budget: int) -> str:
    """Say what is left, e.g. ``2 of 5 looks at the test set used, 3 left``."""
    left = budget - used
    if left > 0:
        return f"{used} of {budget} looks at the test set used, {left} left"
    return (
        f"{used} of {budget} looks at the test set used, none left: "
        "new test items are needed before the gate can pass another candidate"
    )


def at_level(resampling: Resampling, level: float) -> Resampling:
    """Return how to estimate at another level: with draws enough in the thinner tails."""
    fewest = math.ceil(2 * TAIL_DRAWS / (1 - level) - 1e-6)
    return replace(resampling, level=level, resamples=max(resampling.resamples, fewest))


def new_items(results: Sequence[TargetResult], power: float = POWER) -> int:
    """Return how many new test items would settle every demand at the level it was judged at.

    They show, with ``power``, a true distance from the bound as large as the one observed, or of
    ``MARGIN`` of the metric's range where that was smaller. Never under 100.
    """
    return max([FEWEST_NEW, *(_new_items(one, power) for one in results)])


def _new_items(result: TargetResult, power: float) -> int:
    found = result.deciding
    if found is None or result.gap is None:
        return 0
    arm = (found.high - found.low) / 2
    distance = max(abs(result.gap), _margin(result))
    if not math.isfinite(arm) or arm <= 0 or distance < 1e-9:
        return found.n
    z = z_of(found.level)
    longer = (z + NORMAL.inv_cdf(power)) / z
    return math.ceil(found.n * (longer * arm / distance) ** 2 - 1e-9)


def _margin(result: TargetResult) -> float:
    info = shown_info(result.metric)
    if info.low is not None and info.high is not None:
        return MARGIN * (info.high - info.low)
    return 2 * MARGIN * abs(result.goal or 0.0)
