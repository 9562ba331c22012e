"""Nothing that people write is stored in clear: identifiers are taken out first.

What is one of a closed set (a label, an enum's value) stays as it is. What was taken out can be
sealed beside the rest: ``Safe.original``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core.codec import dumps
from metier.core.objective import Objective
from metier.core.types import Json
from metier.feedback.answers import open_fields
from metier.queue import clear_text


@dataclass(frozen=True, slots=True)
class Safe:
    """A value without identifiers; ``original`` is what to seal, None where nothing was found."""

    value: Json
    original: bytes | None


def clear_value(value: Json) -> Json:
    """The value with every text in it cleared, keys of objects too."""
    if isinstance(value, str):
        return clear_text(value)
    if isinstance(value, Mapping):
        return {clear_text(str(key)): clear_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clear_value(item) for item in value]
    return value


def clear_answer(objective: Objective, labels: Sequence[str], answer: Json) -> Safe:
    """Clear an answer that ``read_answer`` gave, but for what is one of a closed set."""
    if objective.task in ("classify", "multilabel") and labels:
        return Safe(answer, None)
    if objective.task == "structured":
        words = open_fields(objective)
        cleared = {k: clear_value(v) if k in words else v for k, v in answer.items()}
    else:
        cleared = clear_value(answer)
    return safe(answer, cleared)


def safe(before: Json, after: Json) -> Safe:
    """Pair a cleared value with what it was, where that is another."""
    return Safe(after, None if before == after else dumps(before).encode())
