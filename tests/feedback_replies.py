"""Served replies for the tests of feedback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import Interaction
from metier.core.types import Conversation
from metier.core.workspace import Workspace

LABELS = ("card_arrival", "top_up", "refund")
CLASSIFY = Objective(task="classify")
MULTILABEL = Objective(task="multilabel")
ANSWER = Objective(task="answer")
EXTRACT = Objective(task="extract")
FIELDS = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {
            "route": {"type": "string", "enum": ["parcels", "machines"]},
            "urgent": {"type": "boolean"},
            "reply": {"type": "string"},
        },
        "required": ["route", "reply"],
    },
)


def fields(route: str, reply: str = "We look into it.", **more: Any) -> str:
    return json.dumps({"route": route, "reply": reply, **more})


def serve(ws: Workspace, *replies: str, **changes: Any) -> list[str]:
    """Store one served reply per text; return their ids, oldest first."""
    values: dict[str, Any] = dict(
        model="champion",
        release_id=None,
        state="done",
        asked=Conversation.of(("system", "Be brief."), ("user", "Where is my card?")),
        settings={},
    )
    rows = [
        Interaction(
            id=ledger.new_interaction_id(),
            created_at=datetime.now(UTC),
            replies=(text,),
            **values | changes,
        )
        for text in replies
    ]
    ledger.save_interactions(ws, rows, {})
    return [one.id for one in rows]


def stored_text(ws: Workspace, tables: Sequence[str]) -> str:
    """Everything that tables hold in clear."""
    from sqlalchemy import text

    with ws.db.reading() as session:
        rows = [
            tuple(row) for name in tables for row in session.execute(text(f"SELECT * FROM {name}"))
        ]
    return repr(rows)
