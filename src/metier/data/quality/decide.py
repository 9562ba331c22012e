"""Carries out what people decided about suspects: the step "decisions" of a build.

A decision is the answer of an item of the queue "suspects":

    {"decision": "accept" | "drop" | "relabel", "to": the target's labels, "same": ..., "reasons"}

``same`` is a hash of prompt and target as they were decided on: it finds the row again once its
source file has changed, and copies that say the same. A relabelled row keeps before, after and the
rule "relabel" like any other change; a dropped one goes to quarantine, from where it can be
restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from metier.core.steps import Change, Drop, Keep, Outcome
from metier.core.types import (
    CompletionTarget,
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
    SpansTarget,
    digest,
)
from metier.core.workspace import Workspace
from metier.data.duplicates import prompt_key, target_key
from metier.queue import list_items

SUSPECTS = "suspects"
"""The queue whose items are rows that a person should look at; their subjects are examples."""
DECISIONS = "decisions"
RELABEL = "relabel"
Verdict = Literal["accept", "drop", "relabel"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of a row: the verdict, the labels it gets, what it was about."""

    verdict: Verdict
    to: Json = None
    same: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions by example id and by content (see ``same_key``)."""

    by_id: Mapping[str, Decision] = field(default_factory=dict)
    by_content: Mapping[str, Decision] = field(default_factory=dict)

    def of(self, example: Example) -> Decision | None:
        """Return what was decided about a row; by its id first."""
        if not self.by_id and not self.by_content:
            return None
        return self.by_id.get(example.id) or self.by_content.get(same_key(example))


def same_key(example: Example) -> str:
    """Return the key of rows with this prompt and this target."""
    return digest([prompt_key(example), target_key(example)])


def decisions_of(ws: Workspace) -> Decisions:
    """Return all decisions that hold."""
    by_id: dict[str, Decision] = {}
    for item in list_items(ws, SUSPECTS, "done"):
        found = read_decision(item.answer)
        if found is not None:
            by_id[item.subject_id] = found
    by_content = {one.same: one for _, one in sorted(by_id.items()) if one.same}
    return Decisions(by_id, by_content)


def read_decision(answer: Json) -> Decision | None:
    """Return the decision an answer holds; None where it holds none."""
    if not isinstance(answer, Mapping) or answer.get("decision") not in ("accept", "drop", RELABEL):
        return None
    reasons = tuple(str(one) for one in answer.get("reasons", ()))
    return Decision(answer["decision"], answer.get("to"), str(answer.get("same", "")), reasons)


@dataclass(frozen=True, slots=True)
class Decide:
    """The step: rows that were decided on are dropped, relabelled or stay as they are."""

    decisions: Decisions
    name: str = DECISIONS

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Carry out the decisions about a batch."""
        for example in batch:
            found = self.decisions.of(example)
            if found is None or found.verdict == "accept":
                yield Keep(example)
            elif found.verdict == "drop":
                yield Drop(example, "dropped_by_decision", {"reasons": list(found.reasons)})
            else:
                yield _relabelled(example, found)


def _relabelled(example: Example, decision: Decision) -> Keep:
    target = with_labels(example.target, decision.to)
    if target == example.target or target is None:
        return Keep(example)
    change = Change(
        RELABEL, label_words(example.target, decision.to), label_words(target, decision.to)
    )
    return Keep(example.changed(DECISIONS, target=target), (change,))


def with_labels(target: ExampleTarget | None, to: Json) -> ExampleTarget | None:
    """Return the target with other labels; ``to`` is a label, a list, or values by field."""
    match target:
        case LabelTarget() if isinstance(to, str):
            return LabelTarget(to)
        case LabelsTarget() if isinstance(to, list):
            return LabelsTarget(tuple(sorted({str(label) for label in to})))
        case FieldsTarget(fields=fields) if isinstance(to, Mapping):
            return replace(target, fields={**fields, **to})
        case _:
            return target


def label_words(target: ExampleTarget | None, to: Json) -> str:
    """Write the labels of a target; of fields, those that ``to`` names."""
    match target:
        case LabelTarget(label=label):
            return label
        case LabelsTarget(labels=labels):
            return ", ".join(labels)
        case FieldsTarget(fields=fields) if isinstance(to, Mapping):
            return ", ".join(f"{name}={fields.get(name)}" for name in sorted(to))
        case _:
            return ""


def target_words(target: ExampleTarget | None) -> str:
    """Write a whole target in words."""
    match target:
        case FieldsTarget(fields=fields):
            return "\n   ".join(f"{name}: {value}" for name, value in fields.items())
        case CompletionTarget(text=text) | PreferenceTarget(chosen=text):
            return text
        case SpansTarget(spans=spans):
            return ", ".join(f"{span.label} ({span.start} to {span.end})" for span in spans)
        case _:
            return label_words(target, None)
