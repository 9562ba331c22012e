"""Corrected replies for the tests of what is learned from them."""

from __future__ import annotations

from datetime import UTC, datetime

from metier.core import ledger
from metier.core.ids import new_id
from metier.core.records import FEEDBACK, Case, Interaction
from metier.core.store.tables import QueueItemRow
from metier.core.types import Conversation, Example, LabelTarget, Provenance
from metier.core.workspace import Workspace


def correct(
    ws: Workspace,
    text: str,
    label: str,
    *,
    user: str | None = None,
    held_back: bool = False,
    failed: bool = True,
) -> Case:
    """Store a served reply to ``text`` with the answer that would have been right."""
    now = datetime.now(UTC)
    reply = ledger.new_interaction_id()
    asked = Conversation.of(("user", text))
    group = None if user is None else ws.sealed.group_hash(user)
    served = Interaction(reply, now, "champion", None, "done", asked, ("?",), {}, user=group)
    ledger.save_interactions(ws, [served], {})
    item = new_id("item")
    with ws.db.session() as session:
        session.add(
            QueueItemRow(
                id=item,
                created_at=now,
                queue="corrections",
                subject_kind="interaction",
                subject_id=reply,
                reasons=[],
                priority=1,
                state="done",
            )
        )
    example = Example(
        id=Example.make_id(FEEDBACK, reply),
        conversation=asked,
        target=LabelTarget(label),
        provenance=Provenance(FEEDBACK, FEEDBACK, reply),
        group=group,
    )
    case = Case(example, now, reply, item, None, held_back, failed)
    ledger.save_cases(ws, [case])
    return case
