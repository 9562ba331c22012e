"""The verdict on a form of a model: bars reached, missed, or not to be told from this many replies.

An exact form must answer alike in every row: one reply apart is a miss. Of a lossy form (8 and 4
bits, 16 where the cache is) only a share must, and a share of few replies is known roughly: 11 of
13 are 0.846, and anything from 0.58 to 0.96. So a lossy form misses the bar only where the whole
interval lies under it, reaches it only where the whole interval lies above, and is unsettled
otherwise, with the number of replies that would settle it if the share stayed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from metier.core.types import Estimate
from metier.evaluate.parity_config import ParityBar
from metier.scoring.statistics.intervals import wilson

MOST_REPLIES = 100_000
SLACK = 1e-12


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which parts of a bar were missed, and which cannot be told, in words."""

    failed: tuple[str, ...]
    unsettled: tuple[str, ...] = ()


def verdict_of(
    bar: ParityBar,
    largest: float | None,
    mean: float | None,
    same: Estimate,
    difference: Estimate | None,
) -> Verdict:
    """Judge the log-probability gaps (nats), the share of equal replies, and the change of the
    task's metric (None: not measured)."""
    failed = list(_apart(bar, largest, mean))
    unsettled: list[str] = []
    if bar.same < 1 and same.n:
        low, high = wilson(same.value * same.n, same.n)
        told = f"{same.value:.1%} of {same.n} replies the same [{low:.1%}, {high:.1%}]"
        if high < bar.same:
            failed.append(f"{told}, under {bar.same:.0%}")
        elif low < bar.same:
            unsettled.append(f"{told} for a bar of {bar.same:.0%}: {_more(same, bar.same)}")
    elif not same.value >= bar.same:
        failed.append(f"{same.value:.1%} of the replies the same, under {bar.same:.0%}")
    if difference is not None and difference.value < -bar.metric_drop - SLACK:
        words = f"the task's metric fell by {-difference.value:.3g}, over {bar.metric_drop:g}"
        if bar.same < 1 and difference.high >= -bar.metric_drop:
            unsettled.append(f"{words}, which may be chance (interval to {difference.high:+.3g})")
        else:
            failed.append(words)
    return Verdict(tuple(failed), tuple(unsettled))


def replies_needed(share: float, bar: float) -> int | None:
    """Return of how many replies a share would have to be seen for its 95% interval (Wilson) to
    leave ``bar`` out; None where no number up to ``MOST_REPLIES`` is enough."""

    def settles(n: int) -> bool:
        low, high = wilson(share * n, n)
        return low >= bar or high < bar

    if not settles(MOST_REPLIES):
        return None
    enough, few = MOST_REPLIES, 0
    while enough - few > 1:
        middle = (enough + few) // 2
        enough, few = (middle, few) if settles(middle) else (enough, middle)
    return enough


def _more(same: Estimate, bar: float) -> str:
    needed = replies_needed(same.value, bar)
    if needed is None:
        return "the share is the bar, which no number of replies tells apart"
    return f"unsettled: {needed - same.n:,} more replies needed ([evaluate.parity] rows)"


def _apart(bar: ParityBar, largest: float | None, mean: float | None) -> Iterator[str]:
    limits = {"largest": (bar.logprob_max, largest), "mean": (bar.logprob_mean, mean)}
    for name, (limit, value) in limits.items():
        # "not (value <= limit)": a NaN misses the bar too.
        if limit is not None and value is not None and not value <= limit:
            shown = "no number" if math.isnan(value) else f"{value:.2g}"
            yield f"{name} log-probability difference {shown} above {limit:g}"
