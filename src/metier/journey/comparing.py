"""Any evaluations of the same items beside one another: numbers, differences, flipped answers.

found = compare_evaluations(session, ["tuned", "tfidf", "few_shot"])
found.differences      # the first minus each other, paired, corrected for comparing with several
found.flips            # per other one: what the first gets right and it does not, and the reverse
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.records import Difference, EvaluationReport, Prediction
from metier.core.types import Json
from metier.journey.session import Session, make_bench
from metier.journey.verbs import find_report

if TYPE_CHECKING:
    from metier.evaluate.effects.calibration import Bin

BINS = 10
RIGHT = 1.0 - 1e-9
"""From this grade on an answer is right."""


@dataclass(frozen=True, slots=True)
class PairedItem:
    """One item that two systems answered; grades run from 0 to 1."""

    example_id: str
    text: str
    expected: Json
    a: Json
    b: Json
    grade_a: float
    grade_b: float
    prediction_a: str
    prediction_b: str

    @property
    def flipped(self) -> bool:
        """Exactly one of the two is right."""
        return (self.grade_a >= RIGHT) != (self.grade_b >= RIGHT)


@dataclass(frozen=True, slots=True)
class Flips:
    """What changed between two systems. ``only_a`` items only the first gets right, ``only_b``
    only the other; ``items`` those that flipped, the widest apart first."""

    only_a: int
    only_b: int
    both: int
    neither: int
    items: tuple[PairedItem, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Evaluations of the same items. ``differences`` are the first's minus each other one's;
    ``flips`` and ``reliability`` go by evaluation id; the latter is empty for systems that state
    no confidence."""

    version_id: str
    split: str
    reports: tuple[EvaluationReport, ...]
    differences: tuple[Difference, ...]
    flips: Mapping[str, Flips]
    reliability: Mapping[str, tuple[Bin, ...]]


def compare_evaluations(
    session: Session, keys: Sequence[str], metrics: Sequence[str] | None = None
) -> Compared:
    """Compare the first evaluation with each other one, paired on the same items.

    ``keys`` are evaluation ids or rungs of the latest version. Raises InputError for fewer than
    two different ones, and where they did not answer the same items.
    """
    from metier.evaluate.compare import Comparison, compare_all

    reports = list({one.id: one for one in (find_report(session, key) for key in keys)}.values())
    if len(reports) < 2:
        raise InputError("two different evaluations or more", got=", ".join(keys))
    first, *others = reports
    comparison = Comparison(make_bench(session, first.version_id))
    differences = compare_all(comparison, first, others, metrics)
    return Compared(
        version_id=first.version_id,
        split=first.split,
        reports=tuple(reports),
        differences=tuple(differences),
        flips={other.id: flips(paired_items(session, first, other)) for other in others},
        reliability={one.id: _bins(session, one) for one in reports},
    )


def paired_items(session: Session, a: EvaluationReport, b: EvaluationReport) -> list[PairedItem]:
    """Return the items both answered, those on which their grades differ most first."""
    from metier.evaluate.turns import every_turn

    ws = session.workspace
    version = ledger.get_version(ws, a.version_id)
    examples = every_turn(ledger.load_split(ws, version, a.split))
    texts = {one.id: one.conversation.text for one in examples}
    ours, theirs = (_answers(session, one) for one in (a, b))
    found = [_pair(texts.get(key, ""), ours[key], theirs[key]) for key in ours if key in theirs]
    return sorted(found, key=lambda one: (-abs(one.grade_a - one.grade_b), one.example_id))


def flips(items: Sequence[PairedItem]) -> Flips:
    """Count who is right, and keep the items on which exactly one is."""
    only_a = sum(one.flipped and one.grade_a > one.grade_b for one in items)
    only_b = sum(one.flipped and one.grade_b > one.grade_a for one in items)
    both = sum(min(one.grade_a, one.grade_b) >= RIGHT for one in items)
    flipped = tuple(one for one in items if one.flipped)
    return Flips(only_a, only_b, both, len(items) - both - len(flipped), flipped)


def _answers(session: Session, report: EvaluationReport) -> dict[str, tuple[Prediction, float]]:
    from metier.evaluate.measures import grade_items

    predictions = ledger.load_predictions(session.workspace, report)
    grades = grade_items(session.project.objective, predictions)
    return {one.example_id: (one, grades.get(one.example_id, 0.0)) for one in predictions}


def _pair(text: str, a: tuple[Prediction, float], b: tuple[Prediction, float]) -> PairedItem:
    (ours, grade_a), (theirs, grade_b) = a, b
    return PairedItem(
        ours.example_id, text, ours.expected, _read(ours), _read(theirs), grade_a, grade_b,
        ours.id, theirs.id,
    )  # fmt: skip


def _read(prediction: Prediction) -> Json:
    """The answer as it was read, or its text where it could not be."""
    return prediction.completion.text if prediction.parsed is None else prediction.parsed


def _bins(session: Session, report: EvaluationReport) -> tuple[Bin, ...]:
    """Reliability in ten bins of equal width, of the closed answers that state a confidence."""
    from metier.evaluate.effects.calibration import curve, equal_width, stated
    from metier.evaluate.measures import label_fields

    predictions = ledger.load_predictions(session.workspace, report)
    fields = [name for name in label_fields(session.project.objective) if name]
    return curve(stated(predictions, fields), equal_width(BINS))
