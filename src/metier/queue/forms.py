"""Forms: what a person is asked about an item, apart from how it is drawn.

    form = form_of(objective, labels)            from the objective, for labelling
    value = check_answer(form, posted)           the answer in the form's shape, or InputError

kind         value
label        "card_arrival"
labels       ["a", "b"]                          order does not count
spans        [{"start": 0, "end": 4, "label": "person"}]
text         "…"                                 written, or the reply corrected
number       3.5
json         any value that follows ``schema``
rating       1 … 5 (``low`` … ``high``)
comparison   "a" | "b" | "tie"

The value of a form is an object {field name: value}; a form of one field named "answer" has that
value itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FieldKind = Literal["label", "labels", "spans", "text", "number", "json", "rating", "comparison"]
ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class FormField:
    """One question. ``options`` of label, labels and spans; ``low`` to ``high`` of rating, whose
    ``anchors`` say what the points mean ("1" -> "wrong throughout")."""

    name: str
    kind: FieldKind
    title: str
    about: str = ""
    options: tuple[str, ...] = ()
    required: bool = True
    low: int = 1
    high: int = 5
    anchors: dict[str, str] = field(default_factory=dict)
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """The questions that are asked of each item, in order."""

    fields: tuple[FormField, ...]
