"""Queues of rows to label: chosen by what other stages found, made, and counted before that.

plan = QueuePlan("round-1", Selection("uncertain", 200), wanted=2, guideline="intents")
plan_queue(session, plan)            how many there are; nothing is written
make_labelling(session, plan, who)   the queue
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from metier.annotate.guidelines import get_guideline
from metier.annotate.make import (
    Answers,
    QueuePlan,
    check_plan,
    form_for,
    items_for,
    known_items,
)
from metier.annotate.select import pick_stratified
from metier.annotate.suggest import suggestions_of
from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.records import Prediction
from metier.core.types import Example
from metier.data.labels import labels_in
from metier.feedback.types import SUBJECT
from metier.journey.asked import people_asked
from metier.journey.choosing import Chosen, choose, classical
from metier.journey.session import Session
from metier.queue import NewItem, NewQueue, Queue, list_queues, make_queue
from metier.queue.forms import Form, form_json

SHOWN = 3


@dataclass(frozen=True)
class Planned:
    """What a queue would be: ``items`` of ``there_are``, and ``answers`` in all.

    ``reasons`` are those of the first items; ``splits`` the rows' own.
    """

    name: str
    version_id: str
    split: str
    there_are: int
    items: int
    training: int
    gold: int
    answers: int
    reasons: tuple[str, ...] = ()
    form: Form = field(default_factory=lambda: Form(()))


def plan_queue(session: Session, plan: QueuePlan) -> Planned:
    """Say what a queue would be; nothing is written. Raises as ``make_labelling`` does."""
    people_asked(session, plan.people, "annotate")
    chosen, form, known = _prepared(session, plan)
    training, gold = (len(known[: plan.training]), len(known[plan.training :]))
    return Planned(
        plan.name,
        chosen.version.id,
        chosen.split,
        chosen.there_are,
        len(chosen.picks),
        training,
        gold,
        len(chosen.picks) * plan.wanted,
        tuple(dict.fromkeys(one.reason for one in chosen.picks[:50]))[:SHOWN],
        form,
    )


def make_labelling(session: Session, plan: QueuePlan, actor: str) -> Queue:
    """Make a queue of rows to label. Audited.

    Raises InputError for a plan that cannot be, a name in use, a selection that is empty, or
    people who may not label; NotFound for a version, split, evaluation, guideline or person that
    is not there.
    """
    plan = replace(plan, people=people_asked(session, plan.people, "annotate"))
    chosen, form, known = _prepared(session, plan)
    if not chosen.picks:
        raise InputError(
            "items to label",
            got=f"none: by {plan.selection.by} there is nothing in {chosen.split}",
            remedy="choose another way, split or version",
        )
    new = NewQueue(
        name=plan.name,
        kind="label",
        title=plan.title,
        wanted=plan.wanted,
        blind=plan.blind,
        suggest=plan.suggest,
        lease_s=session.project.annotate.lease_s,
        version_id=chosen.version.id,
        guideline=plan.guideline or None,
        form=form_json(form),
        selection=to_json(replace(plan.selection, version=chosen.version.id, split=chosen.split)),
        settings=_settings(session, plan, known),
        people=plan.people,
    )
    return make_queue(session.workspace, new, _items(session, plan, chosen, form, known), actor)


def _prepared(session: Session, plan: QueuePlan) -> tuple[Chosen, Form, list[Example]]:
    """Check a plan; return what it picks, the form, and the rows whose answer is known."""
    check_plan(plan)
    ws = session.workspace
    if any(one.name == plan.name for one in list_queues(ws)):
        raise InputError("a name that no queue has", got=repr(plan.name), remedy="give another")
    if plan.guideline:
        get_guideline(ws, plan.guideline)
    chosen = choose(session, plan.selection)
    form = form_for(plan, session.project.objective, chosen.version.labels)
    return chosen, form, _known(session, plan, chosen)


def _known(session: Session, plan: QueuePlan, chosen: Chosen) -> list[Example]:
    wanted = plan.training + plan.gold
    if not wanted:
        return []
    taken = {one.id for one in chosen.picks}
    rows = ledger.load_split(session.workspace, chosen.version, plan.trusted)
    fit = {one.id: one for one in rows if one.target is not None and one.id not in taken}
    strata = {id: labels_in(one.target) for id, one in fit.items()}
    drawn = pick_stratified(strata, plan.selection.seed + 1)
    if len(drawn) < wanted:
        raise InputError(
            f"{wanted} rows of {plan.trusted} whose answer is known and that are no work here",
            got=f"{len(drawn)}",
            remedy="ask for fewer, or name another split with trusted",
        )
    return [fit[one.id] for one in islice(drawn, wanted)]


def _settings(session: Session, plan: QueuePlan, known: list[Example]) -> dict[str, object]:
    settings: dict[str, object] = {}
    if plan.training:
        bar = session.project.annotate.training_pass
        settings["training"] = {"items": plan.training, "pass": bar}
    if plan.gold:
        settings["gold"] = {"rate": 1 / max(plan.gold_every, 1)}
    return settings


def _items(
    session: Session, plan: QueuePlan, chosen: Chosen, form: Form, known: list[Example]
) -> Iterator[NewItem]:
    picks = {one.id: one for one in chosen.picks}
    rows = _rows_of(session, chosen, set(picks))
    answers = _answers(session, plan, chosen, form) if plan.suggest else _replies(chosen)
    yield from known_items(known[: plan.training], "training", form)
    yield from known_items(known[plan.training :], "gold", form)
    replies = {one.id: one.provenance.locator for one in chosen.rows}
    for item in items_for(rows, picks, form, answers, plan.begin):
        if item.subject_id in replies:
            yield replace(item, subject_kind=SUBJECT, subject_id=replies[item.subject_id])
        else:
            yield item


def _rows_of(session: Session, chosen: Chosen, ids: set[str]) -> Iterator[Example]:
    """The picked rows, read a few at a time; those of other splits too."""
    if chosen.rows:
        yield from (one for one in chosen.rows if one.id in ids)
        return
    left = set(ids)
    for split in sorted(chosen.version.splits, key=lambda name: name != chosen.split):
        if not left:
            return
        for one in ledger.iter_split(session.workspace, chosen.version, split):
            if one.id in left:
                left.discard(one.id)
                yield one


def _replies(chosen: Chosen) -> Answers:
    said = {one.example_id: one.completion.text for one in chosen.predictions}
    return Answers(said | dict(chosen.replies), {})


def _answers(session: Session, plan: QueuePlan, chosen: Chosen, form: Form) -> Answers:
    """What a model suggests: that of the evaluation, else one of word counts."""
    predictions: Iterable[Prediction] = chosen.predictions
    if not chosen.predictions and not chosen.rows:
        ids = {one.id for one in chosen.picks}
        predictions = classical(session, chosen.version, chosen.split, ids)
    return replace(_replies(chosen), suggestions=suggestions_of(form, tuple(predictions)))
