"""How far the people of a queue agree: per question a coefficient with its interval, per label, per
pair of people, over time, and each person with themselves.

    report = agreement_of(ws, "round-1")
    report.questions[0].headline        # Krippendorff's alpha, with interval and n
    report.questions[0].reading.words   # what it means

Names of people are their ids here; whether a reader may know them is the page's to decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select

from metier.annotate.drift import drift_of
from metier.annotate.fields import Said, possible, said_of
from metier.core.store.tables import AssignmentRow
from metier.core.types import Estimate
from metier.core.workspace import Workspace
from metier.queue import Assignment, Item, Queue, get_queue, iter_answers
from metier.queue.forms import FormField
from metier.scoring.statistics.agreement_answers import Answers, answers_of
from metier.scoring.statistics.agreement_coefficients import cohen, fleiss, krippendorff, percent
from metier.scoring.statistics.agreement_pairs import (
    Confusion,
    LabelAgreement,
    PairAgreement,
    confusion,
    per_label,
    per_span_label,
)
from metier.scoring.statistics.agreement_retest import Consistency, Twice, consistency
from metier.scoring.statistics.agreement_sets import (
    characters,
    jaccard,
    masi,
    pairwise_f1,
    pairwise_same,
    stretches,
    words,
)
from metier.scoring.statistics.agreement_time import FEWEST, Drift
from metier.scoring.types import DEFAULT, Resampling

Reliance = Literal["good", "tentative", "poor", "unclear", "undefined"]
Coefficient = Callable[[Answers, Resampling], Estimate]
DETAIL = Resampling(500)
GOOD, TENTATIVE = 0.8, 0.667
MOST_PAIRS = 45
"""Pairs of people that are shown: those with the most items in common."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a coefficient means, by its whole interval and not only its value."""

    reliance: Reliance
    words: str


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """One question of a queue. ``more`` are further coefficients by their names; ``answers`` count
    over ``units`` with two or more; ``unsaid`` is how often somebody could not tell."""

    question: FormField
    coefficient: str
    headline: Estimate
    reading: Reading
    more: dict[str, Estimate]
    labels: tuple[LabelAgreement, ...]
    pair_coefficient: str
    pairs: tuple[PairAgreement, ...]
    pairs_left_out: int
    confusion: Confusion | None
    drift: Drift
    retest: tuple[Consistency, ...]
    answers: int
    units: int
    unsaid: int


@dataclass(frozen=True, slots=True)
class AgreementReport:
    """Agreement in a queue; ``people`` maps each person to how many answers they gave."""

    queue: str
    title: str
    kind: str
    people: dict[str, int]
    items: int
    answers: int
    last_answer: datetime | None
    questions: tuple[QuestionAgreement, ...]


def agreement_of(
    ws: Workspace, queue: str, days: int = 7, resampling: Resampling = DEFAULT
) -> AgreementReport:
    """Measure agreement in a queue; ``days`` is the width of a window of the drift.

    Training and gold items do not count; hidden duplicates count for consistency only.
    Raises NotFound.
    """
    found = get_queue(ws, queue)
    return report_of(found, iter_answers(ws, queue), days, resampling)


def report_of(
    queue: Queue,
    pairs: Iterable[tuple[Item, Assignment]],
    days: int = 7,
    resampling: Resampling = DEFAULT,
) -> AgreementReport:
    """Measure agreement of answers that were read already."""
    given = list(pairs)
    people: dict[str, int] = {}
    for _, one in given:
        people[one.person] = people.get(one.person, 0) + 1
    moments = [one.answered_at for _, one in given if one.answered_at]
    return AgreementReport(
        queue=queue.name,
        title=queue.title or queue.name,
        kind=queue.kind,
        people=dict(sorted(people.items())),
        items=len({item.id for item, _ in given}),
        answers=len(given),
        last_answer=max(moments, default=None),
        questions=tuple(
            _measure(question, rows, days, resampling)
            for question, rows in said_of(queue, given).values()
        ),
    )


def answers_mark(ws: Workspace, queue: str) -> str:
    """Return a mark that changes whenever an answer of the queue does."""
    mine = (AssignmentRow.queue == queue, AssignmentRow.state == "done")
    query = select(func.count(), func.max(AssignmentRow.answered_at)).where(*mine)
    with ws.db.reading() as session:
        count, last = session.execute(query).one()
    return f"{count} {last}"


def reading_of(found: Estimate) -> Reading:
    """Say what a chance-corrected coefficient means.

    The bounds are Krippendorff's (2004, Content Analysis, p. 241): conclusions may rest on 0.800,
    tentative ones on 0.667. What counts is where the interval lies.
    """
    if math.isnan(found.value):
        return Reading("undefined", found.warnings[0])
    if math.isnan(found.low):
        return Reading("unclear", "too few items for an interval: have more items answered twice")
    if found.n < FEWEST:
        told = f"{found.n} items with two answers: fewer than {FEWEST} show nothing"
        return Reading("unclear", told)
    if found.low >= GOOD:
        return Reading("good", "people agree: even the low end of the interval is 0.8 or more")
    if found.high < TENTATIVE:
        told = "people do not agree enough to rely on these answers: sharpen the guideline first"
        return Reading("poor", told)
    if found.low >= TENTATIVE:
        told = "enough for tentative conclusions; the interval reaches below 0.8"
        return Reading("tentative", told)
    told = "cannot be told yet: the interval reaches below 0.667; more items narrow it"
    return Reading("unclear", told)


def _measure(
    question: FormField, rows: Sequence[Said], days: int, resampling: Resampling
) -> QuestionAgreement:
    work = [one for one in rows if one.twin_of is None]
    answers = answers_of(((o.unit, o.person, o.value) for o in work), possible(question))
    name, coefficient, more = _coefficients(question)
    headline = coefficient(answers, resampling)
    pairs, left_out = _pairs(question, answers)
    pair_name = PAIRED.get(question.kind, name)
    when = {(o.unit, o.person): o.at for o in work if o.at is not None}
    return QuestionAgreement(
        question=question,
        coefficient=name,
        headline=headline,
        reading=reading_of(headline),
        more={title: one(answers, resampling) for title, one in more.items()},
        labels=_labels(question, answers),
        pair_coefficient=pair_name,
        pairs=pairs,
        pairs_left_out=left_out,
        confusion=_confusion(question, answers),
        drift=drift_of(answers, when, lambda some: coefficient(some, DETAIL), days),
        retest=tuple(_retest(question, rows)),
        answers=len(answers),
        units=int((answers.sizes >= 2).sum()),
        unsaid=sum(one.value is None for one in work),
    )


PAIRED = {
    "label": "Cohen's kappa",
    "comparison": "Cohen's kappa",
    "rating": "Cohen's kappa, quadratic weights",
}


def _coefficients(question: FormField) -> tuple[str, Coefficient, dict[str, Coefficient]]:
    """Return the name of the headline, how it is worked out, and what stands beside it."""
    same: dict[str, Coefficient] = {"Exactly the same answer": pairwise_same}
    if question.kind in ("label", "comparison"):
        return (
            "Krippendorff's alpha, nominal",
            lambda a, r: krippendorff(a, "nominal", r),
            {"Percent agreement": percent, "Fleiss' kappa": fleiss},
        )
    if question.kind == "rating":
        return (
            "Krippendorff's alpha, ordinal",
            lambda a, r: krippendorff(a, "ordinal", r),
            {
                "Krippendorff's alpha, interval": lambda a, r: krippendorff(a, "interval", r),
                "Percent agreement": percent,
            },
        )
    if question.kind == "number":
        return "Krippendorff's alpha, interval", lambda a, r: krippendorff(a, "interval", r), same
    if question.kind == "labels":
        return (
            "Krippendorff's alpha, MASI distance",
            lambda a, r: krippendorff(a, masi, r),
            {"Krippendorff's alpha, Jaccard": lambda a, r: krippendorff(a, jaccard, r), **same},
        )
    if question.kind == "spans":
        return (
            "F1 between people, characters",
            lambda a, r: pairwise_f1(a, characters, r),
            {"F1 between people, whole stretches": lambda a, r: pairwise_f1(a, stretches, r),
             **same},
        )  # fmt: skip
    if question.kind == "text":
        return "F1 between people, words", lambda a, r: pairwise_f1(a, words, r), same
    return "Exactly the same answer", pairwise_same, {}


def _pairs(question: FormField, answers: Answers) -> tuple[tuple[PairAgreement, ...], int]:
    """Return agreement of every two people, those with the most items in common first."""
    shared = answers.shared()
    chosen = sorted(shared, key=lambda pair: -shared[pair])[:MOST_PAIRS]
    found = [PairAgreement(a, b, _pair(question, answers, a, b)) for a, b in chosen]
    return tuple(found), len(shared) - len(chosen)


def _pair(question: FormField, answers: Answers, first: str, second: str) -> Estimate:
    weights: Literal["quadratic", "none"] = "quadratic" if question.kind == "rating" else "none"
    if question.kind in PAIRED:
        return cohen(answers, first, second, weights, DETAIL)
    both = answers.of_people(first, second)
    if len(both.people) < 2:
        return cohen(answers, first, second, resampling=DETAIL)  # says that they share nothing
    return _coefficients(question)[1](both, DETAIL)


def _labels(question: FormField, answers: Answers) -> tuple[LabelAgreement, ...]:
    if question.kind in ("label", "labels"):
        return tuple(per_label(answers, DETAIL))
    if question.kind == "spans":
        return tuple(per_span_label(answers, characters, DETAIL))
    return ()


def _confusion(question: FormField, answers: Answers) -> Confusion | None:
    if question.kind not in PAIRED:
        return None
    return confusion(answers)


def _retest(question: FormField, rows: Sequence[Said]) -> list[Consistency]:
    """Return how consistent people are on hidden duplicates."""
    first = {(o.person, o.subject): o.value for o in rows if o.twin_of is None}
    twice = []
    for one in rows:
        if one.twin_of is None or one.value is None:
            continue
        suffix = one.unit.removeprefix(one.item)
        before = first.get((one.person, one.twin_of + suffix))
        if before is not None:
            twice.append(Twice(one.person, one.unit, before, one.value))
    scale = (question.low, question.high) if question.kind == "rating" else None
    return consistency(twice, scale, DETAIL)
