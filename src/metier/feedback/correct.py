"""An expert's answer becomes a case: the item's answer and the case in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.core import ledger
from metier.core.errors import UserError
from metier.core.objective import Objective
from metier.core.records import Case, Interaction
from metier.core.store.tables import CaseRow, InteractionRow
from metier.core.types import Example, Json, Provenance
from metier.core.workspace import Workspace
from metier.feedback.answers import make_target, read_answer, reply_is_wrong
from metier.feedback.clear import clear_answer
from metier.feedback.config import FeedbackConfig
from metier.feedback.draw import lot
from metier.feedback.types import CORRECTIONS, BadRow, Imported
from metier.feedback.work import refuse_other, show_items
from metier.queue import Item, answer_item, get_item, list_items, reopen_item

SOURCE = "feedback"
BULK = "bulk"
"""Who accepts demonstrations in bulk."""


def case_id(interaction_id: str) -> str:
    """The id of the example that a reply's case is."""
    return Example.make_id(SOURCE, interaction_id)


def correct_item(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    item_id: str,
    worker: str,
    value: Json,
    seconds: float | None = None,
) -> Case:
    """Store the right answer to a served reply, and the case it makes; the same again is no change.

    Another answer to an item that was answered takes the place of the first. Whether a case is
    held back follows from who asked, so that all cases of one person are on one side.

    Raises:
        InputError: the answer does not fit the task.
        NotFound: there is no such item.
        Busy: someone else holds the item.
    """
    return _correct(ws, config, objective, labels, item_id, (worker, seconds), value)


def withdraw_item(ws: Workspace, item_id: str, worker: str) -> Item:
    """Undo an answer or a skip: the item is open again and its case gone. Audited.

    Raises NotFound, or Busy when someone else holds the item.
    """
    item = get_item(ws, item_id)
    with ws.db.session() as session:
        reopened = reopen_item(ws, item_id, worker, session=session)
        row = session.get(CaseRow, case_id(item.subject_id))
        if row is not None:
            session.delete(row)
    return reopened


def blank_case(interaction: Interaction) -> Example:
    """The example that a reply's case would be, before anyone said what is right."""
    return Example(
        id=case_id(interaction.id),
        conversation=interaction.asked.with_system(""),
        target=None,
        provenance=Provenance(SOURCE, SOURCE, interaction.id),
        group=interaction.user,
    )


def accept_demonstrations(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    *,
    dry_run: bool = False,
) -> Imported:
    """Take what users gave as right for the answer of every open item that has it. Audited.

    The demonstrations are believed unseen; the worker of these answers is "bulk".
    """
    accepted, bad = [], []
    for work in show_items(ws, objective, labels, list_items(ws, CORRECTIONS, "open")):
        if work.suggestion is None:
            continue
        try:
            if not dry_run:
                _correct(ws, config, objective, labels, work.item.id, (BULK, None), work.suggestion)
            accepted.append(work.item.id)
        except UserError as error:  # someone took it meanwhile
            bad.append(BadRow(work.item.id, error.got))
    return Imported(corrected=tuple(accepted), bad=tuple(bad), dry_run=dry_run)


def _correct(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    item_id: str,
    by: tuple[str, float | None],
    value: Json,
) -> Case:
    interaction = answerable(ws, item_id)
    answer = clear_answer(objective, labels, read_answer(objective, labels, value))
    failed = reply_is_wrong(objective, labels, _served(interaction), answer.value)
    group = interaction.user or interaction.id
    original = None if answer.original is None else (group, answer.original)
    worker, seconds = by
    example = replace(blank_case(interaction), target=make_target(objective, answer.value))
    with ws.db.session() as session:
        answer_item(ws, item_id, worker, answer.value, seconds, original, session=session)
        case = save_case(ws, config, interaction, example, (item_id, failed), session=session)
        if worker == BULK:
            ws.audit.append(None, "feedback.accept", item_id, {"by": worker}, session=session)
    return case


def save_case(
    ws: Workspace,
    config: FeedbackConfig,
    interaction: Interaction,
    example: Example,
    found: tuple[str, bool],
    *,
    session: Session,
) -> Case:
    """Store the case of a reply, in place of an earlier one; ``found`` is the item on which it was
    decided, and whether the reply was wrong."""
    item_id, failed = found
    known = session.get(CaseRow, example.id)
    case = Case(
        example=example,
        created_at=known.created_at if known else datetime.now(UTC),
        interaction_id=interaction.id,
        item_id=item_id,
        release_id=interaction.release_id,
        held_back=failed and _is_held_back(ws, config, interaction, session),
        failed=failed,
    )
    if known is not None:
        session.delete(known)
        session.flush()
    ledger.save_cases(ws, [case], session=session)
    return case


def _served(interaction: Interaction) -> str:
    return interaction.replies[0] if interaction.replies else ""


def answerable(ws: Workspace, item_id: str) -> Interaction:
    """The reply that an item of the queue of corrections is about.

    Raises NotFound, or InputError for an item of another queue.
    """
    item = get_item(ws, item_id)
    refuse_other(item)
    return ledger.get_interaction(ws, item.subject_id)


def _is_held_back(
    ws: Workspace, config: FeedbackConfig, interaction: Interaction, session: Session
) -> bool:
    """The side that this person's failures are on already, else the one drawn for the person.

    A share that was changed since moves nobody: what was learned from is no measure any more.
    """
    same = InteractionRow.id == interaction.id
    if interaction.user is not None:
        same = InteractionRow.user_hash == interaction.user
    query = (
        select(CaseRow.held_back)
        .join(InteractionRow, CaseRow.interaction_id == InteractionRow.id)
        .where(same, CaseRow.failed.is_(True))
        .order_by(CaseRow.created_at)
        .limit(1)
    )
    before = session.scalar(query)
    if before is not None:
        return before
    return lot(ws, "held back", interaction.user or interaction.id) < config.held_back
