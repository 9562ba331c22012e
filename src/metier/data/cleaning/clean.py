"""The cleaning step: repairs text, and sends rows that are empty or of a wrong length to
quarantine.

Repairs run in a fixed order until nothing changes any more, so cleaning clean text does nothing:
mojibake (ftfy), markup, line ends, control characters, Unicode NFC, white space, then what is on
of the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from metier.core.steps import Change, Drop, Keep, Outcome
from metier.core.types import (
    CompletionTarget,
    Example,
    ExampleTarget,
    FieldsTarget,
    Image,
    Json,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
)
from metier.data.cleaning import builtin
from metier.data.cleaning.characters import tidy_label
from metier.data.cleaning.config import CleanConfig
from metier.data.cleaning.rewrite import escaped, rewrite
from metier.data.cleaning.rules import Rule, clean_text, cleaning_rules
from metier.data.cleaning.undone import LABEL_SPACING, NOTHING, Undone
from metier.data.config import DataConfig

__all__ = ["Clean", "Rule", "clean_text", "repairs", "tidy_label"]


def repairs(config: CleanConfig) -> list[Rule]:
    """Return the repairs that are on, in order. Raises UserError on an unknown rule."""
    on = {**config.model_dump(), "line_ends": config.control_characters, "unicode": True}
    names = [name for name in builtin.ORDER if on[name]]
    return [cleaning_rules.make(name) for name in (*names, *config.rules)]


@dataclass(frozen=True, slots=True)
class Clean:
    """The cleaning step. ``closed`` names the structured fields that hold one of a closed set;
    ``undone`` holds the rules that a person took back."""

    config: DataConfig
    closed: frozenset[str] = frozenset()
    undone: Undone = NOTHING
    name: str = "clean"

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Repair each example; drop it when nothing or too much is left."""
        rules = repairs(self.config.cleaning)
        for example in batch:
            cleaned, changes = self._repaired(example, rules)
            tidy, spacing = self._tidy_labels(cleaned)
            reason, evidence = self._unfit(tidy)
            if reason:
                yield Drop(example, reason, evidence)
            else:
                yield Keep(tidy, (*changes, *spacing))

    def _repaired(
        self, example: Example, rules: Sequence[Rule]
    ) -> tuple[Example, tuple[Change, ...]]:
        def edit(text: str) -> list[tuple[str, str]]:
            return clean_text(text, self.undone.left(rules, example.id, text))

        return rewrite(example, self.name, edit, self.closed)

    def _tidy_labels(self, example: Example) -> tuple[Example, tuple[Change, ...]]:
        before = _labels_of(example, self.closed)
        after = {
            place: label
            if self.undone and self.undone.off(LABEL_SPACING, example.id, label)
            else tidy_label(label)
            for place, label in before.items()
        }
        if after == before:
            return example, ()
        changes = tuple(
            Change(LABEL_SPACING, label, after[place], place)
            for place, label in before.items()
            if label != after[place]
        )
        if isinstance(example.target, LabelsTarget):
            changes = (replace(changes[0], moved=list(example.target.labels)), *changes[1:])
        return example.changed(self.name, target=_with_labels(example, after)), changes

    def _unfit(self, example: Example) -> tuple[str, dict[str, Json]]:
        chars = len(example.conversation.text.strip())
        if not chars and not _has_image(example):
            return "empty", {"what": "no text is left in the prompt"}
        if chars < self.config.min_chars and not _has_image(example):
            return "too_short", {"chars": chars, "min_chars": self.config.min_chars}
        if chars > self.config.max_chars:
            return "too_long", {"chars": chars, "max_chars": self.config.max_chars}
        if _reply_is_empty(example):
            return "empty_target", {"what": "no text is left in the reply"}
        return "", {}


def _labels_of(example: Example, closed: frozenset[str]) -> dict[str, str]:
    match example.target:
        case LabelTarget(label=label):
            return {"/target/label": label}
        case LabelsTarget(labels=labels):
            return {f"/target/labels/{place}": label for place, label in enumerate(labels)}
        case FieldsTarget(fields=fields):
            return {
                f"/target/fields/{escaped(name)}": value
                for name, value in fields.items()
                if name in closed and isinstance(value, str)
            }
        case _:
            return {}


def _with_labels(example: Example, labels: dict[str, str]) -> ExampleTarget | None:
    match example.target:
        case LabelTarget():
            return LabelTarget(labels["/target/label"])
        case LabelsTarget():
            return LabelsTarget(tuple(sorted(set(labels.values()))))
        case FieldsTarget(fields=fields):
            return FieldsTarget(
                {
                    name: labels.get(f"/target/fields/{escaped(name)}", value)
                    for name, value in fields.items()
                }
            )
        case target:
            return target


def _has_image(example: Example) -> bool:
    messages = example.conversation.messages
    return any(isinstance(part, Image) for message in messages for part in message.parts)


def _reply_is_empty(example: Example) -> bool:
    match example.target:
        case CompletionTarget(text=text):
            return not text.strip()
        case LabelTarget(label=label):
            return not label
        case PreferenceTarget(chosen=chosen, rejected=rejected):
            return not chosen.strip() or not rejected.strip()
        case _:
            return False
