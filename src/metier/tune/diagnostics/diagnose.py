"""All findings of a run, what explains the others first. Pure: the same series, the same words."""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.records import MetricPoint
from metier.tune.diagnostics import rules
from metier.tune.diagnostics.reading import read
from metier.tune.diagnostics.types import Facts, Finding


def diagnose(points: Sequence[MetricPoint], facts: Facts) -> tuple[Finding, ...]:
    """Return what a run's series show, the cause before its effects; the first is the verdict.

    A run that blew up tells nothing about its data, so rules about data are not asked then. There
    is always at least one finding once a step was made: ``healthy`` where nothing else is.
    """
    reading = read(points, facts)
    broken = rules.not_finite(reading, facts)
    if reading is None:
        return (broken,) if broken else ()
    steps = [rules.rate_too_high(reading, facts), broken, rules.divergence(reading, facts)]
    found = [one for one in steps if one is not None]
    if found:
        return tuple(found)
    slow = rules.rate_too_low(reading, facts)
    if slow is not None and slow.level == "problem":
        return (slow,)
    asked = [
        rules.labels_unrelated(reading, facts) or rules.only_guesses(reading, facts),
        rules.data_too_small(reading, facts),
        rules.memorising(reading, facts),
        rules.overfitting(reading, facts),
        slow or rules.underfitting(reading, facts),
        rules.metric_disagrees(points, facts),
    ]
    return tuple(one for one in asked if one is not None) or (rules.healthy(reading, facts),)
