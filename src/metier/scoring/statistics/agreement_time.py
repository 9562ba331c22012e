"""Drift: does agreement change while people work?

Items belong to the window in which their last answer came, so that each is in one window only.
A window without enough items says so instead of showing a number nobody should read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from metier.core.types import Estimate
from metier.scoring.statistics.agreement_answers import Answers
from metier.scoring.statistics.bootstrap import undefined
from metier.scoring.statistics.intervals import NORMAL

FEWEST = 10
"""Items under which a window has no value of its own."""


@dataclass(frozen=True, slots=True)
class Window:
    """Agreement on the items that were completed from ``start`` to ``end`` (exclusive)."""

    start: datetime
    end: datetime
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Drift:
    """Agreement over time; ``change`` is the last window less the first that have a value."""

    windows: tuple[Window, ...]
    change: Estimate

    @property
    def words(self) -> str:
        """What the change says."""
        if math.isnan(self.change.value):
            return self.change.warnings[0]
        if self.change.high < 0:
            return "agreement has fallen: look at the newest disagreements, and at the guideline"
        if self.change.low > 0:
            return "agreement has risen"
        return "no change that could be told from chance"


def drift(
    answers: Answers,
    when: Mapping[tuple[str, str], datetime],
    coefficient: Callable[[Answers], Estimate],
    days: int = 7,
) -> Drift:
    """Return a coefficient per window of ``days``; ``when`` gives (item, person)'s moment.

    The windows are counted from midnight of the first answer's day, in its own zone.
    """
    found = answers.paired()
    ended: dict[str, datetime] = {}
    for (item, _), moment in when.items():
        ended[item] = max(moment, ended.get(item, moment))
    moments = [ended[item] for item in found.items if item in ended]
    if not moments:
        return Drift((), undefined("no item has the answers of two people yet", 0, 0))
    begin = min(moments).replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(days=days)
    count = (max(moments) - begin) // step + 1
    place = np.asarray([(ended[i] - begin) // step if i in ended else -1 for i in found.items])
    windows = [
        Window(
            begin + step * number,
            begin + step * (number + 1),
            _one(found.where((place == number)[found.item]), coefficient),
        )
        for number in range(count)
    ]
    return Drift(tuple(windows), change(windows))


def change(windows: list[Window] | tuple[Window, ...]) -> Estimate:
    """Return the last window's value less the first's, of independent items.

    The interval takes each window's as that of a normal error (half its width), and adds the
    squares: the items of two windows are different ones.
    """
    usable = [one.estimate for one in windows if not math.isnan(one.estimate.low)]
    if len(usable) < 2:
        return undefined("fewer than two windows can be compared so far", 0, 0)
    first, last = usable[0], usable[-1]
    z = NORMAL.inv_cdf((1 + first.level) / 2)
    error = math.hypot(*((one.high - one.low) / (2 * z) for one in (first, last)))
    value = last.value - first.value
    n, clusters = first.n + last.n, first.clusters + last.clusters
    arm = z * error
    name = "difference of independent windows, normal"
    return Estimate(value, value - arm, value + arm, n, clusters, first.level, name)


def _one(answers: Answers, coefficient: Callable[[Answers], Estimate]) -> Estimate:
    n = len(answers.items)
    if n < FEWEST:
        why = f"{n} items in this window: fewer than {FEWEST} show nothing"
        return undefined(why, n, n)
    return coefficient(answers)
