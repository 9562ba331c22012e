"""Records: what metrics read. One ``Score`` per item, made from a stored prediction.

A fresh record carries the parsed answers and, in ``detail``, what came with the completion. Metrics
take what they need from it, so one list of records serves them all:

    raw             the reply as written
    scores          log-probability by label, where a closed set was scored
    confidence      probability of the least certain closed choice
    sources         ids of the retrieved chunks that were shown
    latency_s, first_token_s, input_tokens, output_tokens
    error           why there is no reply (then none of the above but raw)
    asked           the text of the last user turn, where the examples were handed over
    conversation, turn   of which conversation it is which assistant turn, from 1 (see ``turns``)
    handling_s      seconds a person spent on it, where somebody measured that
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isinf

from metier.core.records import Prediction
from metier.core.types import Completion, Example, Json, Score
from metier.scoring.types import Needs

TURN_MARK = "#turn"
"""Between an example's id and a turn's number, in the id of an assistant turn but the last."""
_CARRIED: dict[Needs, str] = {
    "scores": "scores",
    "turns": "turn",
    "first_token": "first_token_s",
    "handling": "handling_s",
    "asked": "asked",
    "sources": "sources",
}


def record_of(prediction: Prediction, asked: str | None = None) -> Score:
    """Return the ungraded record of a prediction; ``asked`` is the text of the last user turn.

    A completion that failed has no answer, and no latency, tokens or scores: its time is not a
    reply's.
    """
    completion = prediction.completion
    detail: dict[str, Json] = {"raw": completion.text}
    if completion.error is None:
        detail |= _measured(completion)
    else:
        detail["error"] = completion.error
    if asked is not None:
        detail["asked"] = asked
    return Score(
        example_id=prediction.example_id,
        value=None,
        expected=prediction.expected,
        got=None if completion.error else prediction.parsed,
        cluster=prediction.cluster,
        slices=prediction.slices,
        detail=detail,
    )


def _measured(completion: Completion) -> dict[str, Json]:
    found: dict[str, Json] = {
        "latency_s": completion.timing.total_s,
        "input_tokens": completion.usage.input_tokens,
        "output_tokens": completion.usage.output_tokens,
    }
    if completion.timing.first_token_s is not None:
        found["first_token_s"] = completion.timing.first_token_s
    if completion.confidence is not None:
        found["confidence"] = completion.confidence
    if completion.sources:
        found["sources"] = list(completion.sources)
    if completion.choice_logprobs:
        found["scores"] = log_scores(completion.choice_logprobs)
    return found


def log_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Return log-probabilities as JSON can hold them: minus infinity becomes -1e9."""
    return {
        label: -1e9 if isinf(value) and value < 0 else float(value)
        for label, value in scores.items()
    }


def records_of(predictions: Iterable[Prediction], examples: Iterable[Example] = ()) -> list[Score]:
    """Return the ungraded records of predictions, in order.

    From ``examples`` comes what was asked; metrics that judge a reply by that are undefined
    without.
    """
    known = {example.id: example.conversation.last_user for example in examples}
    records = [record_of(one, known.get(one.example_id)) for one in predictions]
    return with_turns(records)


def with_turns(records: Sequence[Score]) -> list[Score]:
    """Return records of single turns (see ``turn_id``) with their conversation and turn named."""
    if not any(TURN_MARK in record.example_id for record in records):
        return list(records)
    turns = Counter(conversation_of(record.example_id) for record in records)
    found = []
    for record in records:
        name, _, number = record.example_id.partition(TURN_MARK)
        place = {"conversation": name, "turn": int(number) if number else turns[name]}
        found.append(replace(record, detail={**record.detail, **place}))
    return found


def turn_id(example_id: str, turn: int) -> str:
    """Return the id under which one assistant turn but the last is measured; ``turn`` from 1."""
    return f"{example_id}{TURN_MARK}{turn}"


def conversation_of(example_id: str) -> str:
    """Return the id of the example that a measured turn belongs to."""
    return example_id.partition(TURN_MARK)[0]


def carries(records: Iterable[Score], needs: Needs) -> bool:
    """Whether any record holds what metrics of that need read (what all records hold: True)."""
    key = _CARRIED.get(needs)
    return key is None or any(record.detail.get(key) is not None for record in records)


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
