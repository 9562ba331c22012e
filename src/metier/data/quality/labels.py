"""Label suspects: rows whose label the other rows speak against, by confident learning.

    classify, structured    each closed answer is one question with its labels
    multilabel              each label is a question of its own: given or not

Labels of spans are not judged. What is found is suspected, not known: of rows that truly lie
between two labels some are always among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Example, FieldsTarget, Json, LabelsTarget, LabelTarget
from metier.data.labels import strata
from metier.data.quality import confident
from metier.data.quality.config import QualityConfig
from metier.data.quality.out_of_fold import (
    Judged,
    assign_folds,
    features_of,
    in_order,
    judge,
    units_of,
)
from metier.models.classical import text_of

FEWEST = 10
"""Rows with a label, and without it, from which a multilabel question is asked."""
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Question:
    """One closed question over some rows. ``name`` is the field, or the label of a multilabel
    set; "" where there is only one question."""

    name: str
    rows: tuple[Example, ...]
    judged: Judged

    @property
    def expected_errors(self) -> float:
        """How many labels are estimated to be wrong."""
        fair = self.judged.fair
        return confident.expected_errors(self.judged.p[fair], self.judged.given[fair])

    @property
    def right(self) -> list[bool]:
        """Whether the model agrees with the given label, for the rows that were judged."""
        best = self.judged.p.argmax(axis=1) == self.judged.given
        return [bool(one) for one in best[self.judged.fair]]

    @property
    def fair_rows(self) -> list[Example]:
        """The rows that were judged."""
        return [self.rows[i] for i in np.flatnonzero(self.judged.fair)]


@dataclass(frozen=True, slots=True)
class LabelSuspect:
    """A label that is probably wrong. ``confidence`` is the probability of the given label,
    ``margin`` how far it lies above the likeliest other (negative: below)."""

    example: Example
    question: str
    given: str
    suggested: str
    confidence: float
    margin: float

    @property
    def evidence(self) -> dict[str, Json]:
        """What a person is shown."""
        return {
            "question": self.question,
            "given": self.given,
            "suggested": self.suggested,
            "self_confidence": round(self.confidence, 4),
            "margin": round(self.margin, 4),
        }


def ask_labels(
    examples: Sequence[Example],
    objective: Objective,
    config: QualityConfig,
    progress: Progress,
) -> list[Question]:
    """Judge every closed answer of the examples out of fold; [] where there are none."""
    ordered = in_order([one for one in examples if one.target is not None])
    closed = tuple(objective.enum_fields)
    asked = [(name, answers) for name, answers in _answers(ordered, closed) if _can_ask(answers)]
    if not asked:
        return []
    units = units_of(ordered, lambda one: strata(one, closed))
    folds = assign_folds(units, len(ordered), config.folds)
    features = features_of([text_of(one.conversation) for one in ordered])
    found = []
    with progress.task("quality: labels", len(asked) * config.folds, "fits") as task:
        for name, answers in asked:
            kept = [i for i, answer in enumerate(answers) if answer is not None]
            labels = sorted({str(answers[i]) for i in kept})
            given = np.asarray([labels.index(str(answers[i])) for i in kept], dtype=np.int64)
            judged = judge(features[kept], given, labels, folds[kept], task.advance)
            found.append(Question(name, tuple(ordered[i] for i in kept), judged))
    return found


Answers = list[str | None]


def _answers(rows: Sequence[Example], closed: Sequence[str]) -> list[tuple[str, Answers]]:
    """Return the questions and each row's answer, None where it has none."""
    targets = [row.target for row in rows]
    single: Answers = [t.label if isinstance(t, LabelTarget) else None for t in targets]
    found = [("", single)]
    for field in closed:
        found.append((field, [_field(target, field) for target in targets]))
    several = [set(t.labels) if isinstance(t, LabelsTarget) else None for t in targets]
    for label in sorted({label for one in several if one for label in one}):
        found.append((label, [None if one is None else _said(label, one) for one in several]))
    return found


def _said(label: str, labels: set[str]) -> str:
    return YES if label in labels else NO


def _field(target: Json, name: str) -> str | None:
    value = target.fields.get(name) if isinstance(target, FieldsTarget) else None
    return None if value is None else str(value)


def _can_ask(answers: Answers) -> bool:
    counts = Counter(answer for answer in answers if answer is not None)
    least = FEWEST if set(counts) <= {YES, NO} else 1
    return len(counts) > 1 and min(counts.values()) >= least


def label_suspects(question: Question, most: int | None = None) -> list[LabelSuspect]:
    """Return the rows whose label is probably wrong, the most suspicious first.

    ``most`` None: as many as are estimated to be wrong.
    """
    judged = question.judged
    rows = np.flatnonzero(judged.fair)
    p, given = judged.p[rows], judged.given[rows]
    if most is None:
        most = round(question.expected_errors)
    margin, own = confident.normalised_margin(p, given), confident.self_confidence(p, given)
    best = p.argmax(axis=1)
    return [
        LabelSuspect(
            question.rows[rows[i]],
            question.name,
            judged.labels[given[i]],
            judged.labels[best[i]],
            float(own[i]),
            float(margin[i]),
        )
        for i in confident.ranked(p, given)[:most]
    ]
