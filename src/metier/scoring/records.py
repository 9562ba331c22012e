"""Records: what metrics read. One ``Score`` per item, made from a stored prediction.

A fresh record carries the parsed answers and, in ``detail``, what the completion cost:
``latency_s``, ``input_tokens``, ``output_tokens``, ``raw`` (the reply as written). Metrics take
what they need from it, so one list of records serves them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from metier.core.records import Prediction
from metier.core.types import Json, Score


def record_of(prediction: Prediction) -> Score:
    """Return the ungraded record of a prediction.

    A completion that failed has no answer, and no latency or tokens: its time is not a reply's.
    """
    completion = prediction.completion
    detail: dict[str, Json] = {"raw": completion.text}
    if completion.error is None:
        detail["latency_s"] = completion.timing.total_s
        detail["input_tokens"] = completion.usage.input_tokens
        detail["output_tokens"] = completion.usage.output_tokens
    else:
        detail["error"] = completion.error
    return Score(
        example_id=prediction.example_id,
        value=None,
        expected=prediction.expected,
        got=None if completion.error else prediction.parsed,
        cluster=prediction.cluster,
        slices=prediction.slices,
        detail=detail,
    )


def records_of(predictions: Iterable[Prediction]) -> list[Score]:
    """Return the ungraded records of predictions, in order."""
    return [record_of(prediction) for prediction in predictions]


def field_view(records: Sequence[Score], field: str) -> list[Score]:
    """Return the records narrowed to one field of structured answers.

    A reply that could not be read, or lacks the field, has no answer for it.
    """
    return [
        replace(record, expected=_pick(record.expected, field), got=_pick(record.got, field))
        for record in records
    ]


def slice_view(records: Sequence[Score], key: str, value: str) -> list[Score]:
    """Return the records of one slice."""
    return [record for record in records if record.slices.get(key) == value]


def _pick(value: Json, field: str) -> Json:
    return value.get(field) if isinstance(value, Mapping) else None
