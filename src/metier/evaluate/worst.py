"""Worst answers: where to look first when asking why the numbers are what they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core.records import EvaluationReport, Prediction
from metier.core.types import Json


@dataclass(frozen=True, slots=True)
class WorstExample:
    """One bad answer. ``score`` is the item's own grade, 1 is perfect; ``why`` names what sets
    it apart."""

    example_id: str
    prediction_id: str
    text: str
    expected: Json
    got: Json
    reply: str
    score: float
    why: str


def worst_examples(
    report: EvaluationReport,
    predictions: Sequence[Prediction],
    texts: Mapping[str, str],
    grades: Mapping[str, float],
    limit: int,
) -> list[WorstExample]:
    """Return the answers with the lowest grade, the most confidently wrong first among equals.

    ``grades`` and ``texts`` are by example id; answers graded 1 are never listed.
    """
    wrong = [one for one in predictions if grades.get(one.example_id, 1.0) < 1.0]
    wrong.sort(key=lambda one: (grades[one.example_id], -_confidence(one), one.example_id))
    return [
        WorstExample(
            one.example_id,
            one.id,
            texts.get(one.example_id, ""),
            one.expected,
            one.parsed,
            one.completion.text,
            grades[one.example_id],
            _why(one, report),
        )
        for one in wrong[:limit]
    ]


def _confidence(prediction: Prediction) -> float:
    """Return the probability of the chosen label (of a set: the least certain), else 0."""
    logprobs = prediction.completion.choice_logprobs
    if not logprobs or not isinstance(prediction.parsed, str):
        return prediction.completion.confidence or 0.0
    top = max(logprobs.values())
    total = sum(math.exp(value - top) for value in logprobs.values())
    chosen = logprobs.get(str(prediction.parsed), top)
    return math.exp(chosen - top) / total


def _why(prediction: Prediction, report: EvaluationReport) -> str:
    if prediction.completion.error:
        return f"failed: {prediction.completion.error}"
    if prediction.parsed is None:
        return "the reply could not be read as an answer"
    if prediction.completion.finish_reason == "length":
        return "the reply was cut off at the length limit"
    confusion = report.confusion.get("")
    if confusion is not None and isinstance(prediction.parsed, str):
        share = _confidence(prediction)
        return f"chosen with probability {share:.2f}" if share else "wrong label"
    return ""
