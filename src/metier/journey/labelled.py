"""What people said becomes data: the settled answers of a queue as a new data version.

    freeze_queue(session, "round-1", who, dry_run=True)    what would change
    freeze_queue(session, "round-1", who)                  the version

An item on which all agree settles itself here; the others need a decision first (adjudication, or
an automatic method) and stay as they were until then. Lineage leads from the version to the queue,
the guideline it went by and, through each item, to every answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import func, select

from metier.annotate.fits import misfit
from metier.annotate.guidelines import get_guideline
from metier.annotate.make import closed_labels
from metier.annotate.values import target_of
from metier.core import ledger
from metier.core.codec import dumps
from metier.core.errors import Busy, InputError, NotFound
from metier.core.lineage import Ref
from metier.core.records import Interaction
from metier.core.store.tables import QueueItemRow
from metier.core.types import Example, Json
from metier.feedback.answers import reply_is_wrong
from metier.feedback.correct import blank_case, save_case
from metier.feedback.labels import current_labels
from metier.journey.session import Session
from metier.queue import (
    Assignment,
    Counts,
    GoldScore,
    Item,
    Queue,
    get_queue,
    gold_scores,
    iter_answers,
    queue_counts,
    settle,
)
from metier.queue.forms import check_answer, form_from

STEP = "annotate"
BATCH = 200
"""Items that are settled in one transaction."""


@dataclass(frozen=True)
class Frozen:
    """What a queue's answers make. ``changed`` rows get another target than they had, ``same`` the
    one they had; ``disputed`` items need a decision, ``open`` ones more answers; nobody could tell
    for ``untold``. ``cases`` come of served replies, and the next build takes them in.
    """

    queue: str
    version_id: str | None
    settled: int
    changed: int
    same: int
    disputed: int
    open: int
    untold: int
    cases: int = 0
    dry_run: bool = False


@dataclass(frozen=True)
class QueueStatus:
    """A queue, how far it is, how people do on gold items, and what freezing it would make: None
    where its answers are no targets of the objective, and ``unfit`` says why."""

    queue: Queue
    counts: Counts
    gold: tuple[GoldScore, ...]
    freeze: Frozen | None
    unfit: str = ""


@dataclass
class _Sorted:
    """The items of a queue by how far they are."""

    answers: dict[str, Json]
    items: dict[str, str]
    agreed: list[tuple[str, Json]]
    disputed: int = 0
    open: int = 0
    untold: int = 0


def freeze_queue(
    session: Session, name: str, actor: str, *, partial: bool = False, dry_run: bool = False
) -> Frozen:
    """Make a data version in which settled answers are the targets. Audited.

    ``partial``: also while items wait for answers or a decision; those keep the target they have.

    Raises:
        NotFound: there is no such queue, or its version's rows are gone.
        InputError: its answers are no targets (``unfit_of``), or nothing in it is settled.
        Busy: items wait, and ``partial`` is not given.
    """
    ws = session.workspace
    queue = get_queue(ws, name)
    unfit = unfit_of(session, queue)
    if unfit is not None:
        raise unfit
    found = _sort(session, queue)
    made = _targets(session, queue, found)
    result = _counted(queue, found, made, dry_run)
    if dry_run:
        return result
    _refuse_unready(result, partial)
    _settle_agreed(session, found, actor)
    version_id = _make_version(session, queue, made, actor)
    cases = _make_cases(session, found, made)
    return replace(result, version_id=version_id, cases=cases)


def unfit_of(session: Session, queue: Queue) -> InputError | None:
    """Return why a queue's answers cannot become targets of the objective; None where they can."""
    if queue.kind != "label" or queue.version_id is None:
        return InputError(
            "a queue in which rows of a data version are labelled",
            got=f"{queue.name}, whose items are other things",
            remedy="its answers stay, and metier annotate export writes them",
        )
    objective = session.project.objective
    try:
        known = ledger.get_version(session.workspace, queue.version_id).labels
    except NotFound:  # reading its rows says so
        known = ()
    return misfit(objective, form_from(queue.form), closed_labels(objective, known))


def status_of(session: Session, name: str, actor: str) -> QueueStatus:
    """Say how far a queue is. Raises NotFound."""
    ws = session.workspace
    queue = get_queue(ws, name)
    unfit = unfit_of(session, queue)
    frozen = None if unfit else freeze_queue(session, name, actor, dry_run=True)
    scores = tuple(gold_scores(ws, name))
    return QueueStatus(queue, queue_counts(ws, name), scores, frozen, str(unfit or ""))


def _sort(session: Session, queue: Queue) -> _Sorted:
    """Read the answers once, item by item."""
    found = _Sorted({}, {}, [])
    seen = 0
    for item, answers in _by_item(iter_answers(session.workspace, queue.name)):
        if item.role != "work":
            continue
        seen += 1
        given = [one.answer for one in answers if one.answer is not None]
        if item.answer is not None:
            value = item.answer
        elif len(answers) < item.wanted:
            found.open += 1
            continue
        elif not given:
            found.untold += 1
            continue
        elif len({dumps(one) for one in given}) > 1:
            found.disputed += 1
            continue
        else:
            value = given[0]
            found.agreed.append((item.id, value))
        found.answers[item.subject_id] = value
        found.items[item.subject_id] = item.id
    found.open += _untouched(session, queue, seen)
    return found


def _by_item(
    pairs: Iterable[tuple[Item, Assignment]],
) -> Iterator[tuple[Item, list[Assignment]]]:
    """Answers that come in the order of items, gathered item by item."""
    now: Item | None = None
    gathered: list[Assignment] = []
    for item, one in pairs:
        if now is not None and item.id != now.id:
            yield now, gathered
            gathered = []
        now = item
        gathered.append(one)
    if now is not None:
        yield now, gathered


def _untouched(session: Session, queue: Queue, seen: int) -> int:
    """Work items that nobody has answered yet."""
    work = select(func.count()).where(QueueItemRow.queue == queue.name, QueueItemRow.role == "work")
    with session.workspace.db.reading() as reading:
        return (reading.scalar(work) or 0) - seen


@dataclass
class _Made:
    """Rows with their new targets; ``outside`` are answers to served replies, by the reply."""

    splits: dict[str, list[Example]]
    changed: int
    same: int
    outside: dict[str, Json]


def _targets(session: Session, queue: Queue, found: _Sorted) -> _Made:
    ws, objective = session.workspace, session.project.objective
    version = ledger.version_now(ws, queue.version_id or "")
    form = form_from(queue.form)
    made = _Made({}, 0, 0, {})
    left = dict(found.answers)
    for split in version.splits:
        rows = []
        for one in ledger.iter_split(ws, version, split):
            if one.id in left:
                answer = check_answer(form, left.pop(one.id), one.conversation.last_user)
                target = target_of(objective, answer)
                same = target == one.target
                made.same, made.changed = made.same + same, made.changed + (not same)
                one = one if same else one.changed(STEP, target=target)
            rows.append(one)
        made.splits[split] = rows
    made.outside = {id: check_answer(form, value) for id, value in left.items()}
    return made


def _counted(queue: Queue, found: _Sorted, made: _Made, dry_run: bool) -> Frozen:
    return Frozen(
        queue.name,
        None,
        settled=len(found.answers),
        changed=made.changed,
        same=made.same,
        disputed=found.disputed,
        open=found.open,
        untold=found.untold,
        cases=len(made.outside),
        dry_run=dry_run,
    )


def _refuse_unready(result: Frozen, partial: bool) -> None:
    if not result.settled:
        raise InputError(
            "settled answers",
            got=f"none: {result.open} items wait for answers, {result.disputed} for a decision",
            remedy="let people answer, and adjudicate where they disagree",
        )
    if (result.open or result.disputed) and not partial:
        raise Busy(
            "a queue that is finished",
            got=f"{result.open} items that wait for answers, {result.disputed} for a decision",
            remedy="finish them, or take what is settled with --partial",
        )


def _settle_agreed(session: Session, found: _Sorted, actor: str) -> None:
    ws = session.workspace
    with session.progress.task("settle", len(found.agreed), "items") as task:
        for start in range(0, len(found.agreed), BATCH):
            part = found.agreed[start : start + BATCH]
            with ws.db.session() as own:
                for item_id, value in part:
                    settle(ws, item_id, value, actor, "agreed", "", session=own)
            task.advance(len(part))


def _make_version(session: Session, queue: Queue, made: _Made, actor: str) -> str | None:
    """Freeze the rows with their new targets; None where no row of the version was asked about."""
    if not made.changed and not made.same:
        return None
    ws = session.workspace
    old = ledger.version_now(ws, queue.version_id or "")
    version = ledger.save_version(
        ws,
        made.splits,
        labels=old.labels,
        config=old.config,
        card={
            **old.card,
            "annotated": {"queue": queue.name, "from": old.id, "changed": made.changed},
        },
        sources=(),
        made_from=(Ref("version", old.id), "labelled from"),
    )
    parents = [(Ref("queue", queue.name), "labelled in")]
    if queue.guideline:
        guideline = get_guideline(ws, queue.guideline)
        parents.append((Ref("guideline", guideline.id), "labelled under"))
    ws.lineage.record(Ref("version", version.id), parents)
    detail = {"version": version.id, "from": old.id, "changed": made.changed}
    ws.audit.append(actor, "annotate.freeze", queue.name, detail)
    return version.id


def _make_cases(session: Session, found: _Sorted, made: _Made) -> int:
    """Store cases of served replies, where the next build finds them."""
    ws, config = session.workspace, session.project.feedback
    replies = ledger.get_interactions(ws, list(made.outside))
    for id, value in made.outside.items():
        interaction = replies[id]
        target = target_of(session.project.objective, value)
        example = replace(blank_case(interaction), target=target)
        wrong = _was_wrong(session, interaction, value)
        with ws.db.session() as own:
            save_case(ws, config, interaction, example, (found.items[id], wrong), session=own)
    return len(made.outside)


def _was_wrong(session: Session, interaction: Interaction, answer: Json) -> bool:
    """Whether the reply that was served is another answer; of marked stretches, which replies name
    by their words, the one who called it bad is believed."""
    objective = session.project.objective
    if objective.task == "extract":
        return True
    reply = interaction.replies[0] if interaction.replies else ""
    labels = current_labels(session.workspace, objective)
    return reply_is_wrong(objective, labels, reply, answer)
