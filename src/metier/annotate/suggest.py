"""Suggestions: what a model would answer, shown beside the form where a queue is not blind.

A suggestion saves time and sways. It is off unless it is asked for, never goes with blind work,
and is stored with the item, so that it is known for every answer whether one was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from metier.core.completer import Sampling
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Example, Json
from metier.queue.forms import Form, check_answer
from metier.queue.types import Queue

if TYPE_CHECKING:
    from metier.core.completer import Completer

BATCH = 256


def suggestions_of(form: Form, predictions: Iterable[Prediction]) -> dict[str, Json]:
    """What models answered, by example, where it fits the form; spans cannot be suggested, as
    replies name words and not places."""
    found: dict[str, Json] = {}
    for one in predictions:
        if one.parsed is None or any(field.kind == "spans" for field in form.fields):
            continue
        try:
            found[one.example_id] = check_answer(form, one.parsed)
        except InputError:  # the labels or fields are others by now
            continue
    return found


def may_suggest(queue: Queue) -> bool:
    """Whether suggestions are shown in a queue: where that was asked for, and it is not blind."""
    return queue.suggest and not queue.blind


def classical_predictions(
    learn_from: Sequence[Example],
    asked: Sequence[Example],
    objective: Objective,
    labels: Sequence[str],
) -> list[Prediction]:
    """What a model of word counts, fitted on ``learn_from``, answers to ``asked``.

    Deterministic. Raises InputError where there is nothing to learn from.
    """
    from metier.models.classical import tfidf
    from metier.models.prompt import parse_reply

    fitted: Completer = tfidf(learn_from, objective)
    found = []
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        replies = fitted.complete([one.conversation for one in part], Sampling())
        for one, reply in zip(part, replies, strict=True):
            parsed = parse_reply(reply.text, objective, labels)
            slices = dict(one.slices)
            found.append(Prediction(one.id, one.id, reply, parsed, None, one.group or "", slices))
    return found
