"""Metrics of truthfulness against a source: groundedness, numbers, names, hallucination.

    groundedness              share of the sentences of all replies that the source supports
    unsupported_numbers_rate  share of replies with a number that the source lacks
    unsupported_names_rate    share of replies with a name or code that the source lacks
    hallucination_rate        share of items that were made up: an unanswerable question answered,
                              or an answer with a sentence that the source does not support

A failed or empty reply counts as unsupported. See ``support`` for what the source is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metier.core.types import Score
from metier.scoring.refusal import is_refusal
from metier.scoring.base import Measured, mean_of
from metier.scoring.bootstrap import FloatArray, Sums
from metier.scoring.registry import metrics
from metier.scoring.rules import expected_text, reply_text
from metier.scoring.support import EVEN, Rarity, Support, record_support, source_of
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric

ANSWERABLE = "answerable"
"""The slice that says whether the source holds an answer: no, false or 0 when it does not."""
_NO = frozenset({"no", "false", "0"})
NOTHING_TO_HOLD = "have no source, or claim nothing (e.g. a refusal),"


@metrics.register("groundedness")
def groundedness(rarity: Rarity = EVEN) -> Metric:
    """Share of sentences supported; long replies weigh more, as they claim more."""
    info = metric_info("groundedness")
    return Measured(info, lambda records: sentence_share(records, _held(records, rarity)))


def sentence_share(records: Sequence[Score], held: Sequence[list[Support] | None]) -> Sums:
    """Return the share of supported sentences as sums per cluster."""
    kept = [(record, found) for record, found in zip(records, held, strict=True) if found]
    cells: list[tuple[int, int, float]] = []
    for row, (_, found) in enumerate(kept):
        cells += [(row, 0, float(sum(one.supported for one in found))), (row, 1, float(len(found)))]
    gone = len(records) - len(kept)
    notes = (f"{gone} of {len(records)} items {NOTHING_TO_HOLD} and were left out",) if gone else ()
    return Sums.of([record for record, _ in kept], cells, 2, _ratio, notes)


def unanswerable(record: Score) -> bool:
    """Whether the right reply is to say that there is no answer: by slice, or by the reference."""
    marked = str(record.slices.get(ANSWERABLE, "")).strip().lower()
    if marked:
        return marked in _NO
    reference = expected_text(record)
    return reference is not None and is_refusal(reference)


def made_up(record: Score, rarity: Rarity = EVEN) -> float | None:
    """Return 1 for a hallucination, 0 for none, None where it cannot be told (no source).

    Unanswerable: 1 unless the reply refuses. Answerable: 1 when the reply makes a claim that the
    source does not support; a refusal makes none (``over_refusal_rate`` counts those). A failed
    reply is 1: it was not shown to be honest.
    """
    reply = reply_text(record)
    if reply is None:
        return 1.0
    if unanswerable(record):
        return 0.0 if is_refusal(reply) else 1.0
    if source_of(record) is None:
        return None
    found = record_support(record, rarity)
    return float(any(not one.supported for one in found or ()))


def _held(records: Sequence[Score], rarity: Rarity) -> list[list[Support] | None]:
    return [record_support(record, rarity) for record in records]


def _lacking(record: Score, what: str) -> float | None:
    if source_of(record) is None:
        return None
    return float(any(getattr(one, what) or not one.claim for one in record_support(record) or ()))


def _ratio(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)


@metrics.register("unsupported_numbers_rate")
def unsupported_numbers_rate() -> Metric:
    """Share of replies with a number that the source lacks."""
    why = "have no source"
    name = "unsupported_numbers_rate"
    return mean_of(name, lambda record: _lacking(record, "missing_numbers"), why)


@metrics.register("unsupported_names_rate")
def unsupported_names_rate() -> Metric:
    """Share of replies with a name or code that the source lacks."""
    why = "have no source"
    return mean_of("unsupported_names_rate", lambda r: _lacking(r, "missing_names"), why)


@metrics.register("hallucination_rate")
def hallucination_rate() -> Metric:
    """Share of items that were made up (see ``made_up``)."""
    return mean_of("hallucination_rate", made_up, "have no source")


@metrics.register("answered_unanswerable_rate")
def answered_unanswerable_rate() -> Metric:
    """Share of the unanswerable questions that were answered, or failed."""
    return mean_of("answered_unanswerable_rate", _answered_anyway, "are answerable")


@metrics.register("over_refusal_rate")
def over_refusal_rate() -> Metric:
    """Share of the answerable questions that were refused, or failed."""
    return mean_of("over_refusal_rate", _refused_anyway, "are unanswerable")


def _answered_anyway(record: Score) -> float | None:
    return made_up(record) if unanswerable(record) else None


def _refused_anyway(record: Score) -> float | None:
    if unanswerable(record):
        return None
    reply = reply_text(record)
    return float(reply is None or is_refusal(reply))
