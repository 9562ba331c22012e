"""Metrics of truthfulness against a source: groundedness, numbers, names, hallucination.

    groundedness              share of a reply's sentences that the source supports
    unsupported_numbers_rate  share of replies with a number that the source lacks
    unsupported_names_rate    share of replies with a name or code that the source lacks
    hallucination_rate        share of items that were made up: an unanswerable question answered,
                              or an answer with a sentence that the source does not support

A failed or empty reply counts as unsupported. See ``support`` for what the source is.
"""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.types import Score
from metier.scoring.base import mean_of
from metier.scoring.registry import metrics
from metier.scoring.rules import reply_text
from metier.scoring.truth.refusal import is_refusal, should_refuse
from metier.scoring.truth.supported import EVEN, Rarity, record_support, source_of
from metier.scoring.types import Metric

NO_SOURCE = "have no source"
NOTHING_TO_HOLD = "have no source, or claim nothing (e.g. a refusal),"
REFUSING = frozenset(
    ["groundedness", "hallucination_rate", "answered_unanswerable_rate", "over_refusal_rate"]
)
"""Those that take ``extra``: the project's own wordings of refusals."""
Extra = Sequence[str]


@metrics.register("groundedness")
def groundedness(rarity: Rarity = EVEN, extra: Extra = ()) -> Metric:
    """Mean over the replies that claim something of the share of supported sentences."""
    return mean_of("groundedness", lambda one: supported_share(one, rarity, extra), NOTHING_TO_HOLD)


def supported_share(record: Score, rarity: Rarity = EVEN, extra: Extra = ()) -> float | None:
    """Return the share of a reply's claims that its source supports; None: nothing to hold."""
    found = record_support(record, rarity, extra)
    return sum(one.supported for one in found) / len(found) if found else None


def made_up(record: Score, rarity: Rarity = EVEN, extra: Extra = ()) -> float | None:
    """Return 1 for a hallucination, 0 for none, None where it cannot be told (no source).

    A question is unanswerable where its slice or its reference says so (``should_refuse``): then 1
    unless the reply refuses. Otherwise 1 when the reply makes a claim that the source does not
    support; a refusal makes none (``over_refusal_rate`` counts those). A failed reply is 1: it was
    not shown to be honest.
    """
    reply = reply_text(record)
    if reply is None:
        return 1.0
    if should_refuse(record, extra):
        return 0.0 if is_refusal(reply, extra) else 1.0
    if source_of(record) is None:
        return None
    found = record_support(record, rarity, extra)
    return float(any(not one.supported for one in found or ()))


def _lacking(record: Score, what: str) -> float | None:
    if source_of(record) is None:
        return None
    return float(any(getattr(one, what) or not one.claim for one in record_support(record) or ()))


@metrics.register("unsupported_numbers_rate")
def unsupported_numbers_rate() -> Metric:
    """Share of replies with a number that the source lacks."""
    name = "unsupported_numbers_rate"
    return mean_of(name, lambda record: _lacking(record, "missing_numbers"), NO_SOURCE)


@metrics.register("unsupported_names_rate")
def unsupported_names_rate() -> Metric:
    """Share of replies with a name or code that the source lacks."""
    return mean_of("unsupported_names_rate", lambda r: _lacking(r, "missing_names"), NO_SOURCE)


@metrics.register("hallucination_rate")
def hallucination_rate(extra: Extra = ()) -> Metric:
    """Share of items that were made up (see ``made_up``)."""
    return mean_of("hallucination_rate", lambda one: made_up(one, EVEN, extra), NO_SOURCE)


@metrics.register("answered_unanswerable_rate")
def answered_unanswerable_rate(extra: Extra = ()) -> Metric:
    """Share of the unanswerable questions that were answered, or failed."""

    def grade(record: Score) -> float | None:
        return made_up(record, EVEN, extra) if should_refuse(record, extra) else None

    return mean_of("answered_unanswerable_rate", grade, "are answerable")


@metrics.register("over_refusal_rate")
def over_refusal_rate(extra: Extra = ()) -> Metric:
    """Share of the answerable questions that were refused, or failed."""

    def grade(record: Score) -> float | None:
        if should_refuse(record, extra):
            return None
        reply = reply_text(record)
        return float(reply is None or is_refusal(reply, extra))

    return mean_of("over_refusal_rate", grade, "are unanswerable")
