"""What an expert is shown: the item, what was asked and answered, and what was said of it."""

from __future__ import annotations

from collections.abc import Sequence

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.records import Feedback
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.feedback.answers import read_answer
from metier.feedback.types import CORRECTIONS, DEMONSTRATION, SUBJECT, Work
from metier.queue import LEASE_S, Item, next_item


def next_work(
    ws: Workspace,
    objective: Objective,
    labels: Sequence[str],
    worker: str,
    lease_s: float = LEASE_S,
    queue: str = CORRECTIONS,
) -> Work | None:
    """Lease the next item to ``worker`` and show it; None when none waits."""
    item = next_item(ws, queue, worker, lease_s)
    return None if item is None else show_items(ws, objective, labels, [item])[0]


def show_items(
    ws: Workspace, objective: Objective, labels: Sequence[str], items: Sequence[Item]
) -> list[Work]:
    """Show items about served replies, in their order; nothing is leased.

    Raises InputError for an item about something else.
    """
    for item in items:
        refuse_other(item)
    ids = [item.subject_id for item in items]
    replies = ledger.get_interactions(ws, ids)
    said: dict[str, list[Feedback]] = {}
    for one in ledger.list_feedback(ws, ids):
        said.setdefault(one.interaction_id, []).append(one)
    return [
        Work(
            item=item,
            interaction=(reply := replies[item.subject_id]),
            conversation=reply.asked.with_system(""),
            reply=reply.replies[0] if reply.replies else "",
            suggestion=_suggestion(objective, labels, said.get(reply.id, [])),
            feedback=tuple(said.get(reply.id, [])),
        )
        for item in items
    ]


def refuse_other(item: Item) -> None:
    """Raise InputError for an item that is not about a served reply."""
    if item.subject_kind != SUBJECT:
        raise InputError(
            "an item about a served reply",
            got=f"{item.id} of the queue {item.queue!r}, whose subject is: {item.subject_kind}",
            remedy=f"answer items of the queue {CORRECTIONS!r}",
        )


def _suggestion(objective: Objective, labels: Sequence[str], said: Sequence[Feedback]) -> Json:
    """What a user gave as right, where it still fits the task; a person confirms it."""
    for one in said:
        if one.metric == DEMONSTRATION:
            try:
                return read_answer(objective, labels, one.value)
            except InputError:  # the labels or fields changed since
                return None
    return None
