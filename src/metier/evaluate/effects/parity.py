"""Are two ways of running a model the same model? Trained and served, apart and merged, full and
reduced precision.

    parity(Asked(contender, objective, labels), EndpointCompleter(...), conversations)

Both answer the same conversations greedily. What counts is the share of equal replies, and, where
both can score, how far the log-probabilities of given texts lie apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core.completer import Completer, Sampling
from metier.core.types import Completion, Conversation, Estimate, Score
from metier.scoring import Resampling, metric_info
from metier.scoring.base import Proportion, mean_statistic
from metier.scoring.statistics.bootstrap import undefined
from metier.scoring.types import DEFAULT

PARITY = "parity"
GREEDY = Sampling(max_tokens=128)


@dataclass(frozen=True, slots=True)
class Bar:
    """What to pass. ``same`` is the least share of equal replies, ``logprob`` the largest
    difference of log-probabilities in nats."""

    same: float = 1.0
    logprob: float = 0.01


@dataclass(frozen=True, slots=True)
class Parity:
    """Two ways of running a model on the same prompts.

    ``same`` is the share of equal replies (a reply that failed on either side is not equal);
    ``errors`` counts the failures of a and b; ``differing`` are the places of the prompts whose
    replies differ, the first twenty; ``earliest`` is the least number of characters that two
    differing replies share. ``largest`` and ``mean`` are differences of log-probabilities in nats
    (None: one of them cannot score).
    """

    a: str
    b: str
    same: Estimate
    errors: tuple[int, int]
    differing: tuple[int, ...]
    earliest: int | None
    largest: float | None
    mean: float | None
    bar: Bar
    passed: bool

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """The numbers that targets can name."""
        return {PARITY: self.same}


def parity(
    a: Completer,
    b: Completer,
    conversations: Sequence[Conversation],
    *,
    sampling: Sampling = GREEDY,
    choices: Sequence[str] = (),
    bar: Bar | None = None,
    resampling: Resampling = DEFAULT,
) -> Parity:
    """Compare greedy replies, and the log-probabilities of ``choices`` where both can score."""
    bar = bar or Bar()
    ours, theirs = a.complete(conversations, sampling), b.complete(conversations, sampling)
    equal = [_equal(x, y) for x, y in zip(ours, theirs, strict=True)]
    gaps = _logprob_gaps(a, b, conversations, choices)
    largest = max(gaps) if gaps else None
    share = same_share(equal, resampling)
    good = bool(equal) and sum(equal) >= bar.same * len(equal)
    close = largest is None or largest <= bar.logprob
    pairs = [(x, y) for x, y, same in zip(ours, theirs, equal, strict=True) if not same]
    return Parity(
        a.name,
        b.name,
        share,
        (_errors(ours), _errors(theirs)),
        tuple(place for place, same in enumerate(equal) if not same)[:20],
        min((_common(x.text, y.text) for x, y in pairs), default=None),
        largest,
        math.fsum(gaps) / len(gaps) if gaps else None,
        bar,
        good and close,
    )


def same_share(equal: Sequence[bool], resampling: Resampling = DEFAULT) -> Estimate:
    """Return the share of equal replies."""
    if not equal:
        return undefined("no prompts to compare on", 0, 0, resampling.level)
    metric = Proportion(
        metric_info(PARITY), lambda rows: mean_statistic(rows, [row.value for row in rows])
    )
    return metric([Score(str(i), float(same)) for i, same in enumerate(equal)], resampling)


def _equal(x: Completion, y: Completion) -> bool:
    return x.error is None and y.error is None and x.text == y.text


def _errors(found: Sequence[Completion]) -> int:
    return sum(one.error is not None for one in found)


def _common(x: str, y: str) -> int:
    shorter = min(len(x), len(y))
    return next((at for at in range(shorter) if x[at] != y[at]), shorter)


def _logprob_gaps(
    a: Completer, b: Completer, conversations: Sequence[Conversation], choices: Sequence[str]
) -> list[float]:
    if not (choices and a.capabilities.scores and b.capabilities.scores):
        return []
    rows = zip(a.score(conversations, choices), b.score(conversations, choices), strict=True)
    return [abs(x - y) for ours, theirs in rows for x, y in zip(ours, theirs, strict=True)]
