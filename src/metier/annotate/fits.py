"""Whether what a form asks for can be a target of the objective.

task of the objective   answers that are targets
classify                one label of its closed set (words, while no set is known)
multilabel              labels of its closed set
extract                 marked stretches with its labels
structured              its fields, each of its kind; optional ones may be missing
others                  a text
"""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.queue.forms import ANSWER, FieldKind, Form, FormField, form_of

_CLOSED: dict[str, tuple[FieldKind, str]] = {
    "classify": ("label", "one label"),
    "multilabel": ("labels", "any number of labels"),
    "extract": ("spans", "marked stretches of text"),
}
_WORDS: dict[FieldKind, str] = {
    "label": "one choice",
    "labels": "several choices",
    "spans": "marked stretches",
    "text": "a text",
    "number": "a number",
    "json": "JSON",
    "rating": "a rating",
    "comparison": "a comparison",
}


def misfit(objective: Objective, form: Form, labels: Sequence[str] = ()) -> InputError | None:
    """Return why answers to a form cannot be targets of the objective; None where they can.

    ``labels`` is the closed set in force, empty while there is none.
    """
    if objective.task == "structured":
        return _fields_misfit(objective, form)
    kind, words = _CLOSED.get(objective.task, ("text", "a text"))
    kinds = {kind} if kind == "text" or labels or objective.task != "classify" else {kind, "text"}
    if not form.is_bare or form.fields[0].kind not in kinds:
        return _error(f"answers that are {words} each, as the objective asks for", _asked(form))
    return None if kind == "text" else _labels_misfit(form.fields[0], labels)


def _labels_misfit(one: FormField, labels: Sequence[str]) -> InputError | None:
    unknown = [option for option in one.options if labels and option not in labels]
    if not unknown:
        return None
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    return _error("labels that the objective has", ", ".join(unknown[:3]) + more)


def _fields_misfit(objective: Objective, form: Form) -> InputError | None:
    wanted = {one.name: one for one in form_of(objective).fields}
    if form.is_bare and ANSWER not in wanted and len(wanted) == 1:
        wanted = {ANSWER: next(iter(wanted.values()))}
    given = {one.name: one.kind for one in form.fields}
    wrong = [
        name for name, kind in given.items() if name not in wanted or wanted[name].kind != kind
    ]
    missing = [name for name, one in wanted.items() if one.required and name not in given]
    if not wrong and not missing:
        return None
    fields = ", ".join(f"{name} ({_WORDS[one.kind]})" for name, one in wanted.items())
    return _error(f"answers with the fields of the objective: {fields}", _asked(form))


def _asked(form: Form) -> str:
    """Say what a form asks for."""
    parts = (f"{one.title} ({_WORDS[one.kind]})" for one in form.fields)
    return "a queue that asks for " + (", ".join(parts) or "nothing")


def _error(expected: str, got: str) -> InputError:
    return InputError(
        expected,
        got=got,
        remedy="make a queue from the data, which asks what the objective asks, and have the rows "
        "answered there; these answers stay, and metier annotate export writes them",
    )
