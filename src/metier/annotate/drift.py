"""Drift: agreement of a queue's people, and the habits of each, week by week."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from metier.core.errors import InputError
from metier.core.types import Estimate
from metier.scoring.statistics.agreement_answers import Answers
from metier.scoring.statistics.agreement_time import Drift, drift

MOST_WINDOWS = 60


def drift_of(
    answers: Answers,
    when: Mapping[tuple[str, str], datetime],
    coefficient: Callable[[Answers], Estimate],
    days: int = 7,
) -> Drift:
    """Return a coefficient per window of ``days``; wider windows where there would be too many.

    Raises InputError for windows of no width.
    """
    if days < 1:
        raise InputError("windows of at least one day", got=f"{days} days")
    moments = list(when.values())
    span = (max(moments) - min(moments)).days + 1 if moments else 0
    width = days * max(1, -(-span // (days * MOST_WINDOWS)))
    return drift(answers, when, coefficient, width)
