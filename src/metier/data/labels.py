"""Labels: the closed set is the objective's, the first version's, or what this data holds.

A row whose label is not in the set goes to quarantine with the nearest label named. While the set
comes from the data, labels that look like a misspelling of a frequent one are suspects.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.steps import Drop, Keep, Outcome, Suspect
from metier.core.types import (
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    SpansTarget,
)

LABEL_TASKS = frozenset({"classify", "multilabel", "extract"})
# A label this much rarer than one it resembles is taken for a misspelling of it.
RARER_BY = 5
RESEMBLES_FROM = 0.85


def labels_in(target: ExampleTarget | None) -> tuple[str, ...]:
    """Return the labels a target holds, without repeats, sorted."""
    match target:
        case LabelTarget(label=label):
            return (label,)
        case LabelsTarget(labels=labels):
            return tuple(sorted(set(labels)))
        case SpansTarget(spans=spans):
            return tuple(sorted({span.label for span in spans}))
        case _:
            return ()


def strata(example: Example, closed: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what the split keeps in proportion: labels, or ``field=value`` of closed fields."""
    if isinstance(example.target, FieldsTarget):
        fields = example.target.fields
        return tuple(f"{name}={fields[name]}" for name in closed if name in fields)
    return labels_in(example.target)


@dataclass(frozen=True, slots=True)
class CheckLabels:
    """The label step. ``known`` empty: the set is taken from this data."""

    objective: Objective
    known: tuple[str, ...] = ()
    name: str = "labels"

    def fit(self, view: Iterable[Example]) -> Json:
        """Return, per label that looks misspelt, the frequent label it resembles."""
        if self.objective.labels != "from-data" or self.objective.task not in LABEL_TASKS:
            return {}
        counts = Counter(label for example in view for label in labels_in(example.target))
        return misspelt(counts)

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Drop rows without target or with a label outside the set."""
        for example in batch:
            reason, evidence = self._wrong(example)
            odd = {label: state[label] for label in labels_in(example.target) if label in state}
            if reason:
                yield Drop(example, reason, evidence)
            elif odd:
                yield Suspect(example, "label_may_be_misspelt", {"looks_like": odd})
            else:
                yield Keep(example)

    def _wrong(self, example: Example) -> tuple[str, dict[str, Json]]:
        if example.target is None:
            return "no_target", {"what": "the row has nothing to learn from or be measured by"}
        if isinstance(example.target, FieldsTarget):
            return self._wrong_field(example.target)
        if self.known:
            for label in labels_in(example.target):
                if label not in self.known:
                    return "unknown_label", _unknown(label, self.known)
        return "", {}

    def _wrong_field(self, target: FieldsTarget) -> tuple[str, dict[str, Json]]:
        required = (self.objective.fields or {}).get(
            "required", (*self.objective.enum_fields, *self.objective.text_fields)
        )
        for name in required:
            if target.fields.get(name) in (None, ""):
                return "missing_field", {"field": name}
        for name, values in self.objective.enum_fields.items():
            value = target.fields.get(name)
            if value is not None and value not in values:
                return "unknown_label", {"field": name, **_unknown(str(value), values)}
        return "", {}


def _unknown(label: str, known: Iterable[str]) -> dict[str, Json]:
    close = difflib.get_close_matches(label, sorted(known), n=1, cutoff=0.5)
    return {"label": label, "nearest": close[0] if close else None}


def misspelt(counts: Mapping[str, int]) -> dict[str, str]:
    """Return {label: the more frequent label it looks like a misspelling of}."""
    found: dict[str, str] = {}
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    for place, label in enumerate(ranked):
        for other in ranked[:place]:
            if _same_word(label, other) or (
                counts[other] >= RARER_BY * counts[label] and _resembles(label, other)
            ):
                found[label] = other
                break
    return found


def _same_word(label: str, other: str) -> bool:
    def bare(name: str) -> str:
        return "".join(c for c in name.casefold() if c.isalnum())

    return bool(bare(label)) and bare(label) == bare(other)


def _resembles(label: str, other: str) -> bool:
    # Labels that differ in a number are different labels: "grade 1", "grade 2".
    if any(c.isdigit() for c in label + other):
        return False
    return difflib.SequenceMatcher(None, label, other).ratio() >= RESEMBLES_FROM


def refuse_too_few(
    examples: Sequence[Example],
    unknown: Sequence[Mapping[str, Json]],
    task: str,
    known: Sequence[str],
    origin: str,
) -> None:
    """Raise when the rows left hold too few labels to tell apart: two for classify, else one.

    Args:
        examples: the rows left.
        unknown: evidence of the rows dropped for an unknown label.
        task: kind of task; tasks without labels pass.
        known: the closed set; empty: taken from the data.
        origin: where the set comes from, e.g. ``[objective] labels``.

    Raises:
        InputError: what is left cannot be learned from.
    """
    if task not in LABEL_TASKS or not (examples or unknown):
        return
    counts = Counter(label for example in examples for label in labels_in(example.target))
    needed = 2 if task == "classify" else 1
    if len(counts) >= needed:
        return
    asked = f"{'two labels' if needed == 2 else 'a label'} or more with rows"
    remedy = "check which column is the target, and that every class is in the sources"
    got = _listed(counts) if counts else "no label at all"
    if unknown:
        asked += f"; the labels are those of {origin}: {_shown(known)}"
        got += "; left out for labels outside the set: "
        got += _listed(Counter(str(row["label"]) for row in unknown))
        closest = nearest(str(unknown[0]["label"]), known)
        remedy = f"correct the labels or the target column; {closest}"
    raise InputError(asked, got=got, remedy=remedy)


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{label!r} ({n} rows)" for label, n in most[:5])
    return shown + (f" and {len(most) - 5} more" if len(most) > 5 else "")


def _shown(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
