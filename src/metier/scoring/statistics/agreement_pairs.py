"""Where people disagree: on which labels, which two people, and what is taken for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from metier.core.types import Estimate
from metier.scoring.statistics.agreement_answers import Answers, Value
from metier.scoring.statistics.agreement_coefficients import krippendorff
from metier.scoring.statistics.agreement_sets import Parts, pairwise_f1
from metier.scoring.statistics.bootstrap import undefined
from metier.scoring.types import DEFAULT, Resampling


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """One label against all others. ``given`` answers name it, out of ``answers``."""

    label: str
    estimate: Estimate
    given: int
    answers: int


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two people over the ``estimate.n`` items both answered."""

    first: str
    second: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Confusion:
    """What answers meet at one item: ``counts[i][j]`` how often label i of one person met label j
    of the other. Of all pairs of people both orders are counted, so the table is symmetric; of two
    chosen people rows are the first one's."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    first: str = ""
    second: str = ""

    @property
    def total(self) -> int:
        """How many meetings."""
        return sum(map(sum, self.counts))

    def most_confused(self, count: int = 5) -> list[tuple[str, str, int]]:
        """Return the labels that are most often taken for one another, with how often."""
        size = range(len(self.labels))
        both = 2 if not self.first else 1
        met = [
            (self.labels[i], self.labels[j], (self.counts[i][j] + self.counts[j][i]) // both)
            for i in size
            for j in size
            if i < j
        ]
        return sorted((one for one in met if one[2]), key=lambda one: -one[2])[:count]


def per_label(answers: Answers, resampling: Resampling = DEFAULT) -> list[LabelAgreement]:
    """Return Krippendorff's alpha of each label against all others together.

    Of sets of labels: of the label being in the set. With as many answers to each item it is
    Fleiss' kappa of the category (1971, eq. (9)) but for alpha's small-sample correction.
    """
    named = sorted({label for one in answers.values for label in _labels_in(one)}, key=str)
    found = []
    for label in named:
        alone = answers.mapped(partial(_has, label))
        given = sum(label in _labels_in(answers.values[i]) for i in answers.value)
        if given in (0, len(answers)):
            who = "nobody gave this label" if not given else "everybody gave it to every item"
            n = len(answers.items)
            alpha = undefined(f"{who}: nothing varies", n, n, resampling.level)
        else:
            alpha = krippendorff(alone, "nominal", resampling)
        found.append(LabelAgreement(str(label), alpha, given, len(answers)))
    return found


def per_span_label(
    answers: Answers, parts: Callable[[Any], Parts], resampling: Resampling = DEFAULT
) -> list[LabelAgreement]:
    """Return the F1 of the stretches of each label."""
    named = sorted({label for one in answers.values for _, _, label in _stretches_in(one)})
    found = []
    for label in named:
        alone = answers.mapped(partial(_only, label))
        given = sum(bool(_only(label, answers.values[i])) for i in answers.value)
        estimate = pairwise_f1(alone, parts, resampling)
        found.append(LabelAgreement(label, estimate, given, len(answers)))
    return found


def per_pair(
    answers: Answers, coefficient: Callable[[Answers, str, str], Estimate]
) -> list[PairAgreement]:
    """Return a coefficient of every two people, also of those who share no item: it says so."""
    pairs = combinations(sorted(answers.people), 2)
    return [PairAgreement(a, b, coefficient(answers, a, b)) for a, b in pairs]


def confusion(answers: Answers, first: str = "", second: str = "") -> Confusion:
    """Return what was taken for what, of two people or (no names) of all pairs together."""
    found = answers.of_people(first, second) if first else answers.paired()
    size = len(found.values)
    table = np.zeros((size, size), dtype=np.int64)
    if first and len(found.people) == 2:
        columns = []
        for name in (first, second):
            mine = found.person == found.people.index(name)
            columns.append(found.value[mine][np.argsort(found.item[mine], kind="stable")])
        np.add.at(table, tuple(columns), 1)
    elif not first:
        joint = found.counts.T @ found.counts - np.diag(found.counts.sum(axis=0))
        table = np.rint(joint).astype(np.int64)
    rows = tuple(tuple(int(one) for one in row) for row in table)
    return Confusion(tuple(map(str, found.values)), rows, first, second)


def _labels_in(value: Value) -> Sequence[Any]:
    return tuple(value) if isinstance(value, frozenset) else (value,)


def _stretches_in(value: Any) -> Sequence[tuple[int, int, str]]:
    return tuple(value)


def _has(label: Any, value: Value) -> bool:
    return label in _labels_in(value)


def _only(label: str, value: Any) -> frozenset[Any]:
    return frozenset(one for one in value if one[2] == label)
