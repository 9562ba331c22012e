"""Items for people: what is on the screen, copied from rows; and the plan of a queue.

What is copied holds no target: whoever labels does not see the label that is there. The one
exception is a text to correct, which is shown because correcting it is the task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from metier.annotate.select import LABEL, By, Pick
from metier.annotate.values import answer_of
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Conversation, Example, Image, Json
from metier.queue import NewItem
from metier.queue.forms import ANSWER, Form, FormField, form_of
from metier.queue.types import ItemRole

EXAMPLE = "example"
"""What items of a labelling queue are about."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LABEL_CHARS = 200
TAKEN = ("corrections", "suspects")
"""Names of the queues that fill themselves."""


@dataclass(frozen=True, slots=True)
class Selection:
    """How items are chosen. ``count`` 0: all that there are. ``key`` is what strata go by
    ("label", or a slice's name), or the weak slice itself ("length=long"; "": the weakest).

    ``evaluation`` and ``other`` name evaluations, ``queue`` one whose people disagreed;
    "classical" in place of an evaluation: a model of word counts, fitted on the other rows.
    """

    by: By = "random"
    count: int = 100
    version: str = "latest"
    split: str = "train"
    seed: int = 0
    key: str = LABEL
    evaluation: str = ""
    other: str = ""
    queue: str = ""


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A queue to be made. ``training`` and ``gold`` rows come from ``trusted``, a split whose
    targets are right: newcomers begin with the first; the second are strewn among the work, one
    in ``gold_every`` items.

    ``labels`` are asked for (one of them) in place of what the objective asks: such answers sort
    rows, and are no targets.

    ``begin`` says what a text field begins with: "target", the text that the row has, else the
    model's; "reply", the model's (of the evaluation); "" nothing.
    """

    name: str
    selection: Selection
    title: str = ""
    wanted: int = 2
    blind: bool = True
    suggest: bool = False
    guideline: str = ""
    people: tuple[str, ...] = ()
    training: int = 0
    gold: int = 0
    gold_every: int = 20
    trusted: str = "validation"
    begin: str = "target"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What models answered, by row: what a text begins with, and what is suggested."""

    replies: Mapping[str, str]
    suggestions: Mapping[str, Json]


NO_ANSWERS = Answers({}, {})


def check_plan(plan: QueuePlan) -> None:
    """Raise InputError for a plan that cannot be carried out."""
    if not NAME.fullmatch(plan.name) or plan.name in TAKEN:
        got = f"{plan.name!r}" + (", which fills itself" if plan.name in TAKEN else "")
        raise InputError("a name of up to 60 letters, digits, dots and dashes", got=got)
    if plan.suggest and plan.blind:
        raise InputError(
            "a queue that is blind or suggests",
            got="both",
            remedy="a suggestion sways: take --open to let people see it, or leave it out",
        )
    if plan.begin not in ("", "target", "reply"):
        raise InputError('begin as "target", "reply" or ""', got=repr(plan.begin))
    _check_labels(plan)
    for name, value in (("wanted", plan.wanted - 1), ("training", plan.training),
                        ("gold", plan.gold), ("count", plan.selection.count)):  # fmt: skip
        if value < 0:
            raise InputError(f"{name} that is not negative", got=str(value))


def _check_labels(plan: QueuePlan) -> None:
    labels = plan.labels
    if not labels:
        return
    if not 1 < len(set(labels)) == len(labels) or max(map(len, labels)) > LABEL_CHARS:
        raise InputError(
            f"two or more different labels of up to {LABEL_CHARS} characters",
            got=", ".join(one[:40] for one in labels[:5]),
        )
    if plan.training or plan.gold or plan.suggest:
        raise InputError(
            "labels of the queue's own, or training, gold and suggestions",
            got="both",
            remedy="what is known of rows answers what the objective asks: leave the labels out",
        )


def form_for(plan: QueuePlan, objective: Objective, known: Iterable[str]) -> Form:
    """The form of a queue: what the objective asks, or one of the plan's own labels."""
    if plan.labels:
        return Form((FormField(ANSWER, "label", "Label", options=plan.labels),))
    return form_of(objective, closed_labels(objective, known))


def items_for(
    examples: Iterable[Example],
    picks: Mapping[str, Pick],
    form: Form,
    answers: Answers = NO_ANSWERS,
    begin: str = "target",
) -> Iterator[NewItem]:
    """Items for the examples that were picked; the first picked is handed out first."""
    order = {id: place for place, id in enumerate(picks)}
    for one in examples:
        if one.id in order:
            yield NewItem(
                EXAMPLE,
                one.id,
                (picks[one.id].reason,),
                priority=len(order) - order[one.id],
                role="work",
                shown=shown_of(one, form, answers, begin),
            )


def known_items(examples: Iterable[Example], role: ItemRole, form: Form) -> Iterator[NewItem]:
    """Items whose right answer is known: for a training round (answered by all), or gold."""
    for one in examples:
        expected = {"value": answer_of(one.target), "why": ""}
        yield NewItem(
            EXAMPLE,
            one.id,
            (f"{role} item",),
            role=role,
            shown=shown_of(one, form, NO_ANSWERS, ""),
            expected=expected,
        )


def shown_of(
    example: Example, form: Form, answers: Answers = NO_ANSWERS, begin: str = "target"
) -> dict[str, Json]:
    """What is on the screen for an example: its turns, the text to correct, what is suggested."""
    shown: dict[str, Json] = {"turns": turns_of(example.conversation)}
    reply = _begin(example, answers, begin) if _is_written(form) else ""
    if reply:
        shown["replies"] = [{"key": "a", "text": reply}]
    if example.id in answers.suggestions:
        shown["suggestion"] = answers.suggestions[example.id]
    return shown


def turns_of(conversation: Conversation) -> list[Json]:
    """A conversation as plain data, with the ids of its images; what the system was told is left
    out."""
    return [
        {
            "role": turn.role,
            "text": turn.text,
            "images": [part.artifact for part in turn.parts if isinstance(part, Image)],
        }
        for turn in conversation.messages
        if turn.role != "system"
    ]


def marked_text(shown: Mapping[str, Json] | None) -> str:
    """The text in which stretches are marked: that of the last user turn."""
    turns = (shown or {}).get("turns", [])
    return next((str(t.get("text", "")) for t in reversed(turns) if t["role"] == "user"), "")


def closed_labels(objective: Objective, known: Iterable[str]) -> tuple[str, ...]:
    """The labels a form offers: the objective's own, else those of the data version."""
    if isinstance(objective.labels, list):
        return tuple(objective.labels)
    return tuple(known)


def _begin(example: Example, answers: Answers, begin: str) -> str:
    reply = answers.replies.get(example.id, "")
    target = answer_of(example.target) if begin == "target" else None
    return target if isinstance(target, str) else reply if begin else ""


def _is_written(form: Form) -> bool:
    return form.is_bare and form.fields[0].kind == "text"
