"""What a model is asked, and how its reply is read. Torch-free.

``render_target`` writes the reply that is wanted; ``parse_reply`` reads any reply back into the
task's shape; for every target, reading what was written gives ``expected(target)``.

    task         reply                                   parsed
    classify     card arrival                            "card_arrival"
    multilabel   e11.9; i10                              ["e11.9", "i10"]
    extract      [{"label": "drug", "text": "aspirin"}]  the same, as a list
    structured   {"route": "billing", "reply": "…"}      the same, as an object
    others       free text                               the text
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from metier.core.errors import InputError
from metier.core.objective import Objective, TaskKind
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    Message,
    PreferenceTarget,
    SpansTarget,
)

SEPARATOR = "; "
NONE = "none"
# A longer list than this would crowd the message out of a small context; it is left out.
LIST_CHARACTERS = 4000
PLACEHOLDER = re.compile(r"\{(system|instruction|labels|fields|input)\}")


@dataclass(frozen=True, slots=True)
class PromptVariant:
    """One way to ask. Templates take the placeholders of ``prompts.toml``."""

    name: str
    system: str
    user: str


TUNED = PromptVariant("tuned", "{system}\n{instruction}", "{input}")
"""How tuned models are trained, evaluated and served: the project's own words and the input."""


def untuned_variants(task: TaskKind) -> list[PromptVariant]:
    """Return the ways to ask an untuned model, in the order of ``prompts.toml``."""
    return [
        PromptVariant(entry["name"], entry["system"].strip("\n"), entry["user"].strip("\n"))
        for entry in _prompts()["variant"]
        if task in entry["tasks"]
    ]


def render_prompt(
    conversation: Conversation,
    objective: Objective,
    labels: Sequence[str],
    variant: PromptVariant,
    system: str = "",
) -> Conversation:
    """Put a conversation into a variant: its system turn, and the frame around the last user turn.

    A system turn of the conversation's own is kept after the variant's. metier's wording stands
    in for an empty ``objective.instruction``, except in ``TUNED``.
    """
    default = "" if variant == TUNED else _prompts()["instruction"][objective.task]
    values = {
        "system": system,
        "instruction": objective.instruction or default,
        "labels": _label_list(labels),
        "fields": describe_fields(objective),
    }
    own = "\n".join(m.text for m in conversation.messages if m.role == "system")
    head = "\n".join(part for part in (_fill(variant.system, values), own) if part)
    return _frame_last_user(conversation.with_system(head), variant.user, values)


def spoken(label: str) -> str:
    """Return a label as words: ``card_arrival`` is written and scored as ``card arrival``.

    Only identifiers change: inner single underscores and no white space. Words are what a language
    model knows, and fewer tokens than an identifier.
    """
    plain = "_" in label.strip("_") and not re.search(r"\s|__|^_|_$", label)
    return label.replace("_", " ") if plain else label


def readings(labels: Sequence[str]) -> dict[str, str]:
    """Return {as written in replies: label}. Raises InputError when two labels read the same."""
    found: dict[str, str] = {}
    for label in labels:
        other = found.setdefault(spoken(label), label)
        if other != label:
            raise InputError(
                "labels that read differently",
                got=f"{other!r} and {label!r}, which are both written as {spoken(label)!r}",
                remedy="map one to the other in [data], or rename it",
            )
    return found


def render_target(
    target: ExampleTarget, objective: Objective, conversation: Conversation | None = None
) -> str:
    """Return the reply that is wanted, as text.

    Spans need ``conversation``, whose last user turn they point into.
    """
    if isinstance(target, LabelTarget):
        return spoken(target.label)
    if isinstance(target, LabelsTarget):
        return _write_labels(target.labels)
    if isinstance(target, FieldsTarget):
        return _write_fields(target.fields, objective)
    if isinstance(target, SpansTarget):
        return json.dumps(_span_texts(target, conversation), ensure_ascii=False)
    return target.chosen if isinstance(target, PreferenceTarget) else target.text


def render_example(example: Example, objective: Objective) -> str:
    """Return ``render_target`` of an example, which must have a target."""
    if example.target is None:
        raise InputError("an example with a target", got=example.id, remedy="label it first")
    return render_target(example.target, objective, example.conversation)


def expected(target: ExampleTarget, conversation: Conversation | None = None) -> Json:
    """Return what ``parse_reply`` gives for a perfect reply."""
    if isinstance(target, LabelTarget):
        return target.label
    if isinstance(target, LabelsTarget):
        return sorted(set(target.labels))
    if isinstance(target, FieldsTarget):
        return dict(target.fields)
    if isinstance(target, SpansTarget):
        return _span_texts(target, conversation)
    if isinstance(target, CompletionTarget):
        return target.text
    return target.chosen


def parse_reply(text: str, objective: Objective, labels: Sequence[str]) -> Json | None:
    """Read a reply into the task's shape; None when it cannot be read.

    ``labels`` closes the set (empty: any label). A label may stand inside a sentence, if it is the
    only one there.
    """
    if objective.task == "classify":
        return _read_label(text, labels)
    if objective.task == "multilabel":
        return _read_labels(text, labels)
    if objective.task == "extract":
        return _read_spans(text, labels)
    if objective.task == "structured":
        return _read_fields(text, objective)
    return text if text.strip() else None


def describe_fields(objective: Objective) -> str:
    """Return one line per field of a structured reply: its name and what may stand in it."""
    lines = []
    for name, spec in (objective.fields or {}).get("properties", {}).items():
        kind = spec.get("type", "string")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        if "enum" in spec:
            kind = "one of " + ", ".join(json.dumps(value) for value in spec["enum"])
        about = f" ({spec['description']})" if spec.get("description") else ""
        lines.append(f"{name}: {kind}{about}")
    return "\n".join(lines)


# -- writing ------------------------------------------------------------------------------------


@cache
def _prompts() -> Mapping[str, Json]:
    return tomllib.loads((Path(__file__).parent / "prompts.toml").read_text(encoding="utf-8"))


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Fill a template; a line that had placeholders and got nothing for them is left out."""
    lines = []
    for line in template.split("\n"):
        names = PLACEHOLDER.findall(line)
        if names and not any(values[name] for name in names):
            continue
        lines.append(PLACEHOLDER.sub(lambda match: values[match[1]], line))
    return "\n".join(lines).strip("\n")


def _frame_last_user(
    conversation: Conversation, template: str, values: Mapping[str, str]
) -> Conversation:
    if template == "{input}":
        return conversation
    turns = list(conversation.messages)
    for place in range(len(turns) - 1, -1, -1):
        if turns[place].role == "user":
            text = _fill(template, {**values, "input": turns[place].text})
            turns[place] = Message.of("user", text, turns[place].weight)
            break
    return replace(conversation, messages=tuple(turns))


def _label_list(labels: Sequence[str]) -> str:
    text = ", ".join(spoken(label) for label in labels)
    return text if len(text) <= LIST_CHARACTERS else ""


def _write_labels(labels: Sequence[str]) -> str:
    """Join labels by "; "; as a JSON list where a label itself would not survive that."""
    ordered = sorted(set(labels))
    written = [spoken(label) for label in ordered]
    if any(_needs_quotes(text) for text in written):
        return json.dumps(ordered, ensure_ascii=False)
    return SEPARATOR.join(written) or NONE


def _needs_quotes(text: str) -> bool:
    return (
        text != text.strip()
        or not text
        or ";" in text
        or text.startswith("[")
        or text.casefold() == NONE
        or len(text.splitlines()) > 1
    )


def _write_fields(fields: Mapping[str, Json], objective: Objective) -> str:
    """Write the object with its keys in schema order, further ones after them."""
    order = [*(objective.fields or {}).get("properties", {}), *fields]
    ordered = {name: fields[name] for name in dict.fromkeys(order) if name in fields}
    return json.dumps(ordered, ensure_ascii=False)


def _span_texts(target: SpansTarget, conversation: Conversation | None) -> list[Json]:
    if conversation is None:
        raise ValueError("spans are read from a conversation: pass it, or use render_example")
    text = conversation.last_user
    return [{"label": span.label, "text": text[span.start : span.end]} for span in target.spans]


# -- reading ------------------------------------------------------------------------------------


def _read_label(text: str, labels: Sequence[str]) -> str | None:
    if not labels:
        return text.strip() or None
    if text in labels and spoken(text) == text:
        return text
    written = readings(labels)
    if text in written:
        return written[text]
    if text in labels:
        return text
    plain = _plain(text)
    by_plain: dict[str, list[str]] = {}
    for form, label in written.items():
        by_plain.setdefault(_plain(form), []).append(label)
    if len(by_plain.get(plain, [])) == 1:
        return by_plain[plain][0]
    return _only_mention(plain, {form: found[0] for form, found in by_plain.items()})


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def _only_mention(plain: str, by_plain: Mapping[str, str]) -> str | None:
    """Return the one label whose words stand in the reply, if no other stands outside it."""
    rest, found = f" {plain} ", set()
    for form in sorted((form for form in by_plain if form), key=len, reverse=True):
        if f" {form} " in rest:
            found.add(by_plain[form])
            rest = rest.replace(f" {form} ", "  ")
    return found.pop() if len(found) == 1 else None


def _read_labels(text: str, labels: Sequence[str]) -> list[str] | None:
    stripped = text.strip()
    if stripped.casefold().rstrip(".") == NONE:
        return []
    pieces = _json_list(stripped)
    if pieces is None:
        pieces = [piece for piece in re.split(r";|\n", stripped) if piece.strip()]
        if len(pieces) == 1 and labels and _read_exactly(pieces[0], labels) is None:
            pieces = stripped.split(",")
    if not labels:
        return sorted({str(piece).strip() for piece in pieces}) if stripped else None
    known = {_read_exactly(str(piece), labels) for piece in pieces} - {None}
    if not known and pieces:
        return None
    return sorted(label for label in known if label is not None) if stripped else None


def _read_exactly(piece: str, labels: Sequence[str]) -> str | None:
    if piece in labels:
        return piece
    written = readings(labels)
    stripped = piece.strip()
    if stripped in written:
        return written[stripped]
    matches = {label for form, label in written.items() if _plain(form) == _plain(stripped)}
    return matches.pop() if len(matches) == 1 and _plain(stripped) else None


def _json_list(text: str) -> list[Json] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) else None


def _read_spans(text: str, labels: Sequence[str]) -> list[Json] | None:
    found = _json_list(text.strip())
    if found is None:
        return None
    spans = [
        {"label": item["label"], "text": item["text"]}
        for item in found
        if isinstance(item, dict)
        and isinstance(item.get("label"), str)
        and isinstance(item.get("text"), str)
        and (not labels or item["label"] in labels)
    ]
    return spans if spans or not found else None


def _read_fields(text: str, objective: Objective) -> dict[str, Json] | None:
    """Read the first JSON object in the reply; enum values are matched loosely to the schema."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    for name, allowed in objective.enum_fields.items():
        got = value.get(name)
        if isinstance(got, str) and got not in allowed:
            value[name] = _read_exactly(got, [str(choice) for choice in allowed]) or got
    return value
