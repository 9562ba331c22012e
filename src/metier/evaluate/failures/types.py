"""What a cluster of failures is, whatever it was found by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Estimate
from metier.evaluate.failures.items import Judged
from metier.scoring.base import Proportion, mean_statistic
from metier.scoring.tasks import metric_info
from metier.scoring.types import Resampling

Kind = Literal["confusion", "missed", "added", "unanswered", "hard", "drawn", "theme", "form"]
ALPHA = 0.05
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What sets failing items apart from right ones: of ``of`` such items ``failed`` fail.

    ``adjusted_p`` is against the items without it, corrected for all that was looked at.
    """

    words: str
    failed: int
    of: int
    share: Estimate
    adjusted_p: float


@dataclass(frozen=True, slots=True)
class FailureCluster:
    """Failures of one kind, named by what distinguishes them.

    ``failed`` of the ``of`` items that could fail so do, ``share`` with its interval;
    ``by_chance`` is how many would if errors fell independently (by the rest's share for texts),
    ``adjusted_p`` is against that, corrected for all clusters looked at. ``labels`` are the
    classes it is about (expected first), ``lacks`` and ``adds`` what the replies lack and what
    they add. ``example_ids`` are of failing items.
    """

    name: str
    kind: Kind
    field: str
    labels: tuple[str, ...]
    failed: int
    of: int
    share: Estimate
    by_chance: float
    adjusted_p: float
    when: tuple[Circumstance, ...] = ()
    lacks: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    example_ids: tuple[str, ...] = ()

    @property
    def stands_out(self) -> bool:
        """It is more than chance."""
        return self.adjusted_p < ALPHA

    @property
    def excess(self) -> float:
        """Failures beyond chance."""
        return self.failed - self.by_chance

    @property
    def words(self) -> str:
        """The name with its strongest circumstance and the numbers, in one sentence."""
        if not self.when:
            return f"{self.name}; {self.failed} of {self.of}, {_interval(self.share)}"
        best = self.when[0]
        told = f"{best.failed} of {best.of}, {_interval(best.share)}"
        return f"{self.name} when the message {best.words}; {told}"


def share_of(judged: Judged, failed: NDArray[np.bool_], resampling: Resampling) -> Estimate:
    """Return the share of items that ``failed``, with Wilson's interval by cluster."""
    rate = Proportion(
        metric_info("error_rate"), lambda records: mean_statistic(records, failed.tolist())
    )
    return rate(judged.records, resampling)


def some_ids(judged: Judged, failed: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the ids of a few failing items."""
    places: Sequence[int] = np.flatnonzero(failed)[:EXAMPLES].tolist()
    return tuple(judged.items[place].example.id for place in places)


def _interval(share: Estimate) -> str:
    return f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
