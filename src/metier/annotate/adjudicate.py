"""Adjudication: what holds where people disagreed.

    for case in cases_of(ws, "round-1"): ...        the farthest apart first
    adjudicate(ws, item_id, Decision("refund", "the guideline says so in section 2"), person)
    settle_agreed(ws, "round-1", actor)             where all said the same
    propose(ws, "round-1", "dawid_skene")           what people of unequal reliability suggest
    settle_proposed(ws, "round-1", proposals, actor)

Whoever decides sees the answers as A, B, C, in an order of the item's own, and is none of those who
gave them, unless an owner insists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import Any, Literal

from sqlalchemy import select

from metier.annotate.fields import distance, said_of
from metier.annotate.guidelines import GuidelineExample, add_example
from metier.annotate.make import marked_text
from metier.core.errors import Busy, InputError, UserError
from metier.core.store.tables import AdjudicationRow, AssignmentRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.people import Person
from metier.queue import (
    Assignment,
    Item,
    Queue,
    clear_text,
    get_item,
    get_queue,
    iter_answers,
    may_see_answers,
    settle,
)
from metier.queue.forms import check_answer, clear_answer, form_from
from metier.queue.leases import assignment_of
from metier.scoring.statistics.dawid_skene import Consensus, dawid_skene, majority

Method = Literal["dawid_skene", "majority"]
SURE = 0.95
"""Posterior from which an automatic decision is proposed; with few people it is too sure of itself
(see ``dawid_skene``)."""
CLOSED_CHOICES = ("label", "labels", "rating", "comparison", "number", "json")


class MayNotDecide(UserError):
    """Someone who may not settle this item."""

    http_status = 403


@dataclass(frozen=True, slots=True)
class Case:
    """An item with all its answers, in the order A, B, C. ``apart`` is how far they are from one
    another, 0 (the same) to 1; ``settled`` says by which method, if one answer holds already."""

    item: Item
    answers: tuple[Assignment, ...]
    apart: float
    settled: str | None = None

    @property
    def people(self) -> tuple[str, ...]:
        """Who answered, in the order A, B, C."""
        return tuple(one.person for one in self.answers)


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds, and why. ``as_example``: it goes into the queue's guideline as well."""

    answer: Json
    reason: str
    as_example: bool = False
    insists: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a method suggests for an item; ``share`` is the posterior, or the share of answers."""

    item_id: str
    answer: Json
    share: float


@dataclass(frozen=True)
class Proposals:
    """Proposals for the items nobody settled yet. ``left`` could not be decided; ``reliability``
    is each person's share of right answers, as the model sees it."""

    method: Method
    at_least: float
    found: tuple[Proposal, ...]
    left: int
    reliability: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """How many items a rule settled (or would), and how many wait for a person."""

    by: str
    count: int
    left: int
    warnings: tuple[str, ...] = ()


def cases_of(ws: Workspace, queue: str, *, settled: bool = False) -> list[Case]:
    """Return the items on which people disagree, the farthest apart first; ``settled``: also those
    that have one answer by now. Items that still wait for answers are not shown. Raises NotFound.
    """
    found = get_queue(ws, queue)
    done = _settled(ws, queue)
    cases = [
        _case(found, item, given, done.get(item.id)) for item, given in _complete(ws, found, done)
    ]
    wanted = [one for one in cases if one.apart > 0 and (settled or one.settled is None)]
    return sorted(wanted, key=lambda one: (-one.apart, one.item.id))


def case_of(ws: Workspace, item_id: str) -> Case:
    """Return one item with its answers. Raises NotFound, Busy while answers are missing."""
    item = get_item(ws, item_id)
    queue = get_queue(ws, item.queue)
    mine = (AssignmentRow.item_id == item_id, AssignmentRow.state == "done")
    with ws.db.reading() as session:
        rows = session.scalars(select(AssignmentRow).where(*mine).order_by(AssignmentRow.place))
        given = [assignment_of(row) for row in rows]
        row = session.get(AdjudicationRow, item_id)
        settled = None if row is None else row.method
    if not _is_complete(queue, item, len(given), settled is not None):
        raise Busy(
            "an item that has all its answers",
            got=f"one with {len(given)} of {item.wanted}",
            remedy="wait, or close the queue",
        )
    return _case(queue, item, given, settled)


def adjudicate(ws: Workspace, item_id: str, decision: Decision, person: Person) -> Item:
    """Store what holds for an item, and why; audited. The same again changes nothing.

    Raises:
        NotFound: there is no such item.
        Busy: answers are still missing.
        MayNotDecide: they may not, have answered it themselves, or have work left in a blind queue.
        InputError: there is no reason, or the answer does not fit the form.
    """
    case = case_of(ws, item_id)
    queue = get_queue(ws, case.item.queue)
    _refuse_unless_free(ws, queue, case, person, decision.insists)
    if not decision.reason.strip():
        raise InputError("a reason in words", got="none", remedy="say what decides the case")
    answer = _checked(queue, case.item, decision.answer)
    with ws.db.session() as session:
        item = settle(ws, item_id, answer, person.id, "person", decision.reason, session=session)
        if decision.as_example:
            if queue.guideline is None:
                raise InputError("a queue with a guideline", got=f"{queue.name}, which has none")
            text = marked_text(case.item.shown)
            example = GuidelineExample(text, answer, decision.reason, item_id)
            add_example(ws, queue.guideline, example, person.id, session=session)
        return item


def settle_agreed(ws: Workspace, queue: str, actor: str, *, dry_run: bool = False) -> int:
    """Settle all items on which everybody said the same; return how many. Raises NotFound."""
    found = get_queue(ws, queue)
    done = _settled(ws, queue)
    count = 0
    for item, given in list(_complete(ws, found, done)):
        values = [one.answer for one in given]
        if item.id in done or None in values or _apart(found, item, given) > 0:
            continue
        count += 1
        if not dry_run:
            settle(ws, item.id, values[0], actor, "agreed", f"all {len(values)} said so")
    return count


def propose(
    ws: Workspace, queue: str, method: Method = "dawid_skene", at_least: float = SURE
) -> Proposals:
    """Return what a method suggests for the items that are not settled; nothing is written.

    ``at_least`` is the posterior of Dawid and Skene's model, or the share of answers, from which a
    proposal is made; a tie has none. Raises NotFound, and InputError where the answers are no
    closed choice.
    """
    found = get_queue(ws, queue)
    form = form_from(found.form)
    if found.kind == "review" or not form.is_bare or form.fields[0].kind not in CLOSED_CHOICES:
        raise InputError(
            "a queue with one closed choice, such as a label",
            got=f"{found.name}, a queue of kind {found.kind} with other questions",
            remedy="decide these one by one",
        )
    done = _settled(ws, queue)
    pairs = [(item, one) for item, given in _complete(ws, found, done) for one in given]
    said = next(iter(said_of(found, pairs).values()))[1]
    rows = [(one.item, one.person, one.value) for one in said if one.value is not None]
    if not rows:
        return Proposals(method, at_least, (), 0)
    original = {v: p.answer for s, (_, p) in zip(said, pairs, strict=True) for v in [s.value]}
    model = dawid_skene(rows) if method == "dawid_skene" else None
    decided = majority(rows) if model is None else model.decided()
    waiting = sorted({item.id for item, _ in pairs} - set(done))
    sure = [
        Proposal(item, original[decided[item][0]], decided[item][1])
        for item in waiting
        if item in decided and decided[item][1] >= at_least
    ]
    notes = () if model is None else model.warnings
    reliability = {} if model is None else model.reliability()
    return Proposals(method, at_least, tuple(sure), len(waiting) - len(sure), reliability, notes)


def settle_proposed(ws: Workspace, proposals: Proposals, actor: str) -> int:
    """Settle every item as proposed; return how many. Each is audited with how sure it was."""
    word = "posterior" if proposals.method == "dawid_skene" else "share of answers"
    for one in proposals.found:
        reason = f"{word} {one.share:.3f}"
        settle(ws, one.item_id, one.answer, actor, proposals.method, reason)
    return len(proposals.found)


def settle_by(
    ws: Workspace,
    queue: str,
    by: Literal["agreed", "dawid_skene", "majority"],
    actor: str,
    *,
    at_least: float = SURE,
    dry_run: bool = False,
) -> Settled:
    """Settle what a rule can decide: where all agree, or as ``propose`` says. Raises as it does."""
    if by == "agreed":
        count = settle_agreed(ws, queue, actor, dry_run=dry_run)
        return Settled(by, count, len(cases_of(ws, queue)))
    found = propose(ws, queue, by, at_least)
    if not dry_run:
        settle_proposed(ws, found, actor)
    return Settled(by, len(found.found), found.left, found.warnings)


def consensus_of(ws: Workspace, queue: str) -> Consensus | None:
    """Return Dawid and Skene's view of a queue's first question; None without answers."""
    found = get_queue(ws, queue)
    said = next(iter(said_of(found, iter_answers(ws, queue)).values()), None)
    rows = [(o.unit, o.person, o.value) for o in said[1] if o.value is not None] if said else []
    return dawid_skene(rows) if rows else None


def may_decide(ws: Workspace, queue: Queue, case: Case, person: Person) -> str | None:
    """Say why a person may not decide a case; None where they may."""
    if not person.may("adjudicate"):
        return f"{person.role}s do not adjudicate"
    if person.id in case.people:
        return "you answered this item yourself"
    if not may_see_answers(ws, queue.name, person.id):
        return "you still have items to answer in this blind queue"
    return None


def _refuse_unless_free(
    ws: Workspace, queue: Queue, case: Case, person: Person, insists: bool
) -> None:
    why = may_decide(ws, queue, case, person)
    if why is None or (insists and person.role == "owner"):
        return
    raise MayNotDecide(
        "a decision by somebody who did not answer the item, and may see the answers",
        got=why,
        remedy="leave it to somebody else; an owner may insist",
    )


def _checked(queue: Queue, item: Item, answer: Json) -> Json:
    if queue.kind == "review":
        raise InputError(
            "a queue in which there is a right answer",
            got="a panel, whose raters may differ",
            remedy="its ratings are corrected for severity instead",
        )
    form = form_from(queue.form)
    checked = check_answer(form, answer, marked_text(item.shown))
    return clear_answer(form, checked, clear_text)


def _complete(
    ws: Workspace, queue: Queue, done: dict[str, str]
) -> Iterator[tuple[Item, list[Assignment]]]:
    """Yield the items that wait for no more answers; in a closed queue all with two."""
    pairs = iter_answers(ws, queue.name)
    for _, group in groupby(pairs, key=lambda pair: pair[0].id):
        rows = list(group)
        item, given = rows[0][0], [one for _, one in rows]
        if item.role != "work":
            continue
        if _is_complete(queue, item, len(given), item.id in done):
            yield item, given


def _is_complete(queue: Queue, item: Item, given: int, settled: bool) -> bool:
    return given >= 2 and (given >= item.wanted or queue.state == "closed" or settled)


def _case(queue: Queue, item: Item, given: Sequence[Assignment], settled: str | None) -> Case:
    """Order the answers by a hash of item and person: nobody is always A."""
    order = sorted(given, key=lambda o: hashlib.sha256(f"{item.id}\n{o.person}".encode()).digest())
    return Case(item, tuple(order), _apart(queue, item, given), settled)


def _apart(queue: Queue, item: Item, given: Sequence[Assignment]) -> float:
    """Return the mean distance of two answers over the questions; one that says nothing is as far
    as can be from one that says something, and two that say nothing need a decision as well."""
    if all(one.answer is None for one in given):
        return 1.0
    total, count = 0.0, 0
    for question, said in said_of(queue, [(item, one) for one in given]).values():
        units: dict[str, list[Any]] = {}
        for one in said:
            units.setdefault(one.unit, []).append(one.value)
        for values in units.values():
            for first, second in combinations(values, 2):
                total += _between(question, first, second)
                count += 1
    return total / count if count else 0.0


def _between(question: Any, first: Any, second: Any) -> float:
    if first is None or second is None:
        return float(first is not second)
    return distance(question, first, second)


def _settled(ws: Workspace, queue: str) -> dict[str, str]:
    """Return the method by which each settled item was settled."""
    query = select(AdjudicationRow.item_id, AdjudicationRow.method)
    with ws.db.reading() as session:
        rows = session.execute(query.where(AdjudicationRow.queue == queue))
        return {item_id: method for item_id, method in rows}
