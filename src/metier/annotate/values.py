"""Targets of examples as answers of a form, and back.

target                          answer
LabelTarget("card_lost")        "card_lost"
LabelsTarget(("a", "b"))        ["a", "b"]
SpansTarget((Span(0, 4, "x"),)) [{"start": 0, "end": 4, "label": "x"}]
FieldsTarget({"route": "x"})    {"route": "x"}
CompletionTarget("Yes.")        "Yes."
"""

from __future__ import annotations

from collections.abc import Mapping

from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
    Span,
    SpansTarget,
)


def answer_of(target: ExampleTarget | None) -> Json | None:
    """Return a target as a form's answer; None for no target."""
    match target:
        case LabelTarget(label=label):
            return label
        case LabelsTarget(labels=labels):
            return sorted(set(labels))
        case SpansTarget(spans=spans):
            return [{"start": one.start, "end": one.end, "label": one.label} for one in spans]
        case FieldsTarget(fields=fields):
            return dict(fields)
        case CompletionTarget(text=text):
            return text
        case PreferenceTarget(chosen=chosen):
            return chosen
        case _:
            return None


def target_of(objective: Objective, answer: Json) -> ExampleTarget:
    """Return the target that an answer to the objective's form is."""
    if objective.task == "classify":
        return LabelTarget(str(answer))
    if objective.task == "multilabel":
        return LabelsTarget(tuple(answer))
    if objective.task == "extract":
        return SpansTarget(tuple(Span(one["start"], one["end"], one["label"]) for one in answer))
    if objective.task == "structured":
        return FieldsTarget(answer if isinstance(answer, Mapping) else {_only(objective): answer})
    return CompletionTarget(str(answer))


def _only(objective: Objective) -> str:
    """The name of the one field of an object, whose form gives the bare value."""
    return str(next(iter((objective.fields or {})["properties"])))
