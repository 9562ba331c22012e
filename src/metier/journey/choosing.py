"""Which rows people should label, by what the other stages know of them.

    choose(session, Selection("weak_slice", count=50))

The ways themselves are in ``metier.annotate.select``; here they get versions, evaluations, suspects
and served replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from metier.annotate.make import Selection
from metier.annotate.select import (
    LABEL,
    By,
    Pick,
    draw,
    pick_disagreeing,
    pick_divided,
    pick_failures,
    pick_random,
    pick_reasoned,
    pick_slice,
    pick_stratified,
    pick_uncertain,
    weakest,
)
from metier.annotate.suggest import classical_predictions
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.records import DataVersion, EvaluationReport, Interaction, Prediction
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.data.labels import strata
from metier.evaluate.measures import grade_items
from metier.feedback.config import FeedbackConfig
from metier.feedback.correct import blank_case
from metier.journey.session import Session
from metier.queue import iter_answers, list_queues

CLASSICAL = "classical"
"""In place of an evaluation: a model of word counts, fitted on the other rows."""
SERVED = "served replies"
"""The split that replies in use are said to be in."""
UNTUNED = ("few_shot", "zero_shot")
"""Rungs of the untuned model, the better asked first."""
PAGE = 500
LONGEST_STRATUM = 40


@dataclass(frozen=True)
class Chosen:
    """Rows that were picked, best first. ``there_are`` counts all that could have been.

    ``rows`` holds them where they are in no version yet; ``replies`` what was answered to them.
    """

    version: DataVersion
    split: str
    picks: tuple[Pick, ...]
    there_are: int
    predictions: tuple[Prediction, ...] = ()
    rows: tuple[Example, ...] = ()
    replies: Mapping[str, str] = field(default_factory=dict)


def choose(session: Session, selection: Selection) -> Chosen:
    """Pick rows. Raises NotFound, and InputError where a way cannot be gone."""
    ways: dict[By, Callable[[Session, Selection], Chosen]] = {
        "random": _random,
        "stratified": _stratified,
        "uncertain": _uncertain,
        "disagreeing": _disagreeing,
        "weak_slice": _weak_slice,
        "suspects": _suspects,
        "baseline_failures": _baseline_failures,
        "production_failures": _production_failures,
    }
    if selection.by not in ways:
        raise InputError(f"one of {', '.join(ways)}", got=repr(selection.by))
    found = ways[selection.by](session, selection)
    return replace(found, picks=found.picks[: selection.count or None])


def _random(session: Session, asked: Selection) -> Chosen:
    version = ledger.with_rows(session.workspace, asked.version)
    ids = _ids(session, version, asked.split)
    return _chosen(version, asked.split, pick_random(ids, asked.seed))


def _stratified(session: Session, asked: Selection) -> Chosen:
    version = ledger.with_rows(session.workspace, asked.version)
    strata = {
        one.id: _strata(one, asked.key)
        for one in ledger.iter_split(session.workspace, version, asked.split)
    }
    key = asked.key or LABEL
    return _chosen(version, asked.split, pick_stratified(strata, asked.seed, key))


def _uncertain(session: Session, asked: Selection) -> Chosen:
    if asked.evaluation == CLASSICAL:
        version = ledger.with_rows(session.workspace, asked.version)
        counted = classical(session, version, asked.split)
        return _chosen(version, asked.split, pick_uncertain(counted, asked.seed), tuple(counted))
    report, found = _evaluated(session, asked)
    return _measured(session, report, pick_uncertain(found, asked.seed), found)


def _disagreeing(session: Session, asked: Selection) -> Chosen:
    if asked.queue:
        return _divided(session, asked)
    report, found = _evaluated(session, asked)
    others = _others(session, report, asked.other)
    return _measured(session, report, pick_disagreeing(found, others, asked.seed), found)


def _divided(session: Session, asked: Selection) -> Chosen:
    queue = next((q for q in list_queues(session.workspace) if q.name == asked.queue), None)
    if queue is None or queue.version_id is None:
        raise NotFound("the name of a queue made of a data version", got=repr(asked.queue))
    given: dict[str, list[Json]] = {}
    for item, one in iter_answers(session.workspace, asked.queue):
        if one.answer is not None:
            given.setdefault(item.subject_id, []).append(one.answer)
    version = ledger.version_now(session.workspace, queue.version_id)
    return _chosen(version, asked.split, pick_divided(given, asked.seed))


def _weak_slice(session: Session, asked: Selection) -> Chosen:
    report, found = _evaluated(session, asked)
    grades = grade_items(session.project.objective, found)
    part = asked.key if "=" in asked.key else weakest(found, grades)
    return _measured(session, report, pick_slice(found, grades, part, asked.seed), found)


def _suspects(session: Session, asked: Selection) -> Chosen:
    version = ledger.with_rows(session.workspace, asked.version)
    members = {one.example_id for one in ledger.list_members(session.workspace, version)}
    reasons: dict[str, list[str]] = {}
    for one in ledger.list_suspects(session.workspace):
        if one.example_id in members:
            reasons.setdefault(one.example_id, []).append(one.why.replace("_", " "))
    return _chosen(version, asked.split, pick_reasoned(reasons, asked.seed))


def _baseline_failures(session: Session, asked: Selection) -> Chosen:
    report, found = _evaluated(session, asked, UNTUNED)
    grades = grade_items(session.project.objective, found)
    picks = pick_failures(found, grades, asked.seed, f"the untuned model ({report.rung})")
    return _measured(session, report, picks, found)


def _production_failures(session: Session, asked: Selection) -> Chosen:
    ws = session.workspace
    version = ledger.with_rows(ws, asked.version)
    reasons = _bad_replies(ws, session.project.feedback)
    served = ledger.get_interactions(ws, list(reasons))
    cases = {one.id: blank_case(one) for one in served.values()}
    picks = pick_reasoned({cases[id].id: words for id, words in reasons.items()}, asked.seed)
    replies = {cases[id].id: one.replies[0] for id, one in served.items() if one.replies}
    kept = replace(_chosen(version, SERVED, picks), rows=tuple(cases.values()), replies=replies)
    return kept


def _bad_replies(ws: Workspace, config: FeedbackConfig) -> dict[str, list[str]]:
    """What was said of the served replies that somebody called bad, by reply."""
    found: dict[str, list[str]] = {}
    for page in _pages(ws):
        for said in ledger.list_feedback(ws, [one.id for one in page if one.state == "done"]):
            bad_at = config.bad_when.get(said.metric)
            value = said.value
            if bad_at is not None and isinstance(value, bool | int | float) and value <= bad_at:
                found.setdefault(said.interaction_id, []).append(f"said to be bad: {said.metric}")
    return found


def _pages(ws: Workspace) -> Iterator[list[Interaction]]:
    page = ledger.list_interactions(ws, limit=PAGE)
    while page:
        yield page
        page = ledger.list_interactions(ws, after=page[-1].id, limit=PAGE)


def _ids(session: Session, version: DataVersion, split: str) -> list[str]:
    if split not in version.splits:
        ledger.load_split(session.workspace, version, split)  # says which splits there are
    members = ledger.list_members(session.workspace, version)
    return [one.example_id for one in members if one.split == split]


def _strata(example: Example, key: str) -> tuple[str, ...]:
    if key and key != LABEL:
        value = example.slices.get(key)
        return () if value is None else (value,)
    fields = getattr(example.target, "fields", {})
    closed = [name for name, value in fields.items() if len(str(value)) <= LONGEST_STRATUM]
    return strata(example, closed)


def _chosen(
    version: DataVersion, split: str, picks: list[Pick], predictions: tuple[Prediction, ...] = ()
) -> Chosen:
    return Chosen(version, split, tuple(picks), len(picks), predictions)


def _measured(
    session: Session, report: EvaluationReport, picks: list[Pick], found: list[Prediction]
) -> Chosen:
    version = ledger.with_rows(session.workspace, report.version_id)
    return _chosen(version, report.split, picks, tuple(found))


def _evaluated(
    session: Session, asked: Selection, rungs: tuple[str, ...] = ()
) -> tuple[EvaluationReport, list[Prediction]]:
    """The evaluation that is named, else the newest (of these rungs) of the version."""
    ws = session.workspace
    if asked.evaluation:
        report = ledger.get_evaluation(ws, asked.evaluation)
        return report, ledger.load_predictions(ws, report)
    version = ledger.with_rows(ws, asked.version)
    known = ledger.list_evaluations(ws, version.id)
    best = [one for rung in rungs for one in reversed(known) if one.rung == rung]
    found = best if rungs else known[::-1]
    if not found:
        raise NotFound(
            f"an evaluation{' of the untuned model' if rungs else ''} on {version.id}",
            got="none",
            remedy="run `metier baseline` or `metier evaluate` first, or choose another way",
        )
    return found[0], ledger.load_predictions(ws, found[0])


def _others(session: Session, report: EvaluationReport, key: str) -> list[Prediction]:
    """The second evaluation: the one named, else the newest other model on the same split."""
    ws = session.workspace
    if key:
        return ledger.load_predictions(ws, ledger.get_evaluation(ws, key))
    known = [
        one
        for one in ledger.list_evaluations(ws, report.version_id)
        if one.split == report.split and one.fingerprint != report.fingerprint
    ]
    if not known:
        raise NotFound("a second evaluation on the same rows", got="none", remedy="name --other")
    return ledger.load_predictions(ws, known[-1])


def classical(
    session: Session, version: DataVersion, split: str, ids: set[str] | None = None
) -> list[Prediction]:
    """What a model of word counts makes of rows it was not fitted on.

    Rows without a target are asked of a model of all others; where every row has one, each half
    (by a hash of the id) is asked of a model of the other half.
    """
    ws, objective = session.workspace, session.project.objective
    rows = ledger.load_split(ws, version, split)
    learn = rows if split == "train" else ledger.load_split(ws, version, "train")
    open_rows = [one for one in rows if one.target is None] if split == "train" else rows
    if open_rows:
        asked = [one for one in open_rows if ids is None or one.id in ids]
        return classical_predictions(learn, asked, objective, version.labels)
    found: list[Prediction] = []
    for half in (0, 1):
        asked = [o for o in rows if _half(o) == half and (ids is None or o.id in ids)]
        others = [one for one in rows if _half(one) != half]
        found += classical_predictions(others, asked, objective, version.labels) if asked else []
    return found


def _half(example: Example) -> int:
    return draw(0, example.group or example.id)[0] % 2
