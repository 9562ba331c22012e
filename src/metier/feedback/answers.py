"""Answers that people write, in the task's shape: read, compared, and made a target.

    task         what may be given                              read as
    classify     a label, also as words                         "card_arrival"
    multilabel   a list of labels, or text "a; b" or "none"     ["a", "b"]
    structured   an object, or JSON text of one                 the object, in schema order
    others       text                                           the text

What is given is taken at its word: unlike a model's reply, it may not wrap its label in a
sentence, and what cannot be read whole is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
)
from metier.models.prompt import NONE, parse_reply, spoken

LONGEST = 100_000
"""Most characters of one answer, as text or as JSON text."""
CLOSED_TYPES = {"boolean", "integer", "number"}


def read_answer(objective: Objective, labels: Sequence[str], value: Json) -> Json:
    """Return what a person gave as the right answer, in the task's shape.

    ``labels`` closes the set (empty: any label). Raises InputError that says what fits.
    """
    refuse_spans(objective)
    if _length(value) > LONGEST:
        raise _wrong(f"at most {LONGEST} characters", f"{_length(value)}", "shorten it")
    if objective.task == "classify":
        return _label(value, labels)
    if objective.task == "multilabel":
        return _labels(value, labels)
    if objective.task == "structured":
        return _fields(value, objective)
    return _text(value)


def refuse_spans(objective: Objective) -> None:
    """Raise InputError where answers are stretches of text, which feedback cannot carry."""
    if objective.task == "extract":
        raise InputError(
            "a task whose answers can be corrected",
            got='task "extract": stretches of text cannot be given as feedback yet',
            remedy="correct such examples in the data and build a new version",
        )


def make_target(objective: Objective, answer: Json) -> ExampleTarget:
    """Return the target that teaches an answer, which ``read_answer`` gave."""
    if objective.task == "classify":
        return LabelTarget(answer)
    if objective.task == "multilabel":
        return LabelsTarget(tuple(answer))
    if objective.task == "structured":
        return FieldsTarget(dict(answer))
    return CompletionTarget(answer)


def reply_is_wrong(objective: Objective, labels: Sequence[str], reply: str, answer: Json) -> bool:
    """Say whether a served reply is another answer than the right one.

    Closed sets count exactly, and with them numbers and booleans of an object; its free texts do
    not, unless it has nothing else. Texts are compared without regard to case and white space.
    """
    got = parse_reply(reply, objective, labels)
    if objective.task in ("classify", "multilabel"):
        return bool(got != answer)
    if objective.task != "structured":
        return _folded(got) != _folded(answer)
    if not isinstance(got, Mapping):
        return True
    names = closed_fields(objective) or list(_properties(objective))
    return any(_folded(got.get(name)) != _folded(answer.get(name)) for name in names)


def closed_fields(objective: Objective) -> list[str]:
    """structured: the fields whose value is right or wrong, whatever its wording."""
    return [
        name
        for name, spec in _properties(objective).items()
        if "enum" in spec or spec.get("type") in CLOSED_TYPES
    ]


def open_fields(objective: Objective) -> list[str]:
    """structured: the fields that people write in words."""
    return [name for name in _properties(objective) if name not in closed_fields(objective)]


def _properties(objective: Objective) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = (objective.fields or {}).get("properties", {})
    return found


def _folded(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return " ".join(text.split()).casefold()


def _length(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    try:
        return len(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise _wrong("plain JSON", str(error)[:60]) from error


def _wrong(expected: str, got: str, remedy: str = "") -> InputError:
    return InputError(f"{expected} as the right answer", got=got, remedy=remedy)


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: Json) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong("a text", _shown(value))
    return value


def _label(value: Json, labels: Sequence[str]) -> str:
    found = _one_label(value, labels) if isinstance(value, str) else None
    if found is None:
        known = nearest(str(value), labels) if labels else "give its name"
        raise _wrong("one label", _shown(value), known)
    return found


def _one_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that a text is, as it stands or in words, and nothing beside it."""
    if text in labels or not labels:
        return text.strip() or None
    same = [one for one in labels if _words(text) in (_words(one), _words(spoken(one)))]
    return same[0] if len(same) == 1 and _words(text) else None


def _words(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def _labels(value: Json, labels: Sequence[str]) -> list[str]:
    pieces = _pieces(value, labels) if isinstance(value, str) else value
    if not isinstance(pieces, list):
        raise _wrong('labels as a list or as text "a; b"', _shown(value))
    return sorted({_label(piece, labels) for piece in pieces})


def _pieces(text: str, labels: Sequence[str]) -> list[Json] | None:
    stripped = text.strip()
    if not stripped:
        return None
    if stripped.startswith("[") and stripped not in labels:
        listed = _parsed(stripped)
        return listed if isinstance(listed, list) else None
    if labels and _one_label(stripped, labels):
        return [stripped]
    if stripped.casefold().rstrip(".") == NONE:
        return []
    separator = r"[;\n]" if re.search(r"[;\n]", stripped) else ","
    return [piece.strip() for piece in re.split(separator, stripped) if piece.strip()]


def _parsed(text: str) -> Json:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _fields(value: Json, objective: Objective) -> dict[str, Json]:
    from metier.scoring.labels.structured import violations

    properties = _properties(objective)
    given = _parsed(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise _wrong(f"an object with {', '.join(properties)}", _shown(value))
    for name in given:
        if name not in properties:
            raise _wrong("known fields", repr(name), nearest(name, properties))
    fields = {
        name: _choice(given[name], spec) for name, spec in properties.items() if name in given
    }
    broken = violations(fields, objective.fields or {}, "answer")
    if broken:
        allowed = "; ".join(
            f"{name}: {', '.join(map(str, choices))}"
            for name, choices in objective.enum_fields.items()
        )
        raise _wrong("an object that follows the fields", broken[0], allowed)
    return fields


def _choice(value: Json, spec: Mapping[str, Any]) -> Json:
    """An enum's value as the schema writes it; what is none of them stays, to be refused."""
    choices = spec.get("enum")
    if not choices or not isinstance(value, str) or value in choices:
        return value
    return _one_label(value, [str(one) for one in choices]) or value
