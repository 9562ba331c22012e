"""Hand the rows of a split to a system that metier does not run, by id."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.types import Example, Json
from metier.journey.session import Session


def export_split(
    session: Session,
    split: str,
    out: Path,
    *,
    version: str = ledger.LATEST,
    targets: bool = False,
) -> int:
    """Write a split's rows as JSON lines with ``id`` and OpenAI ``messages``; return how many.

    ``targets`` adds what should be answered; without it, whoever answers cannot see it. Chats are
    written one row per assistant turn, as they are measured. Texts are as they were frozen
    (de-identified). Written to the audit log. Raises InputError for an unknown split.
    """
    from metier.evaluate.turns import every_turn

    ws = session.workspace
    found = ledger.with_rows(ws, version)
    if split not in found.splits:
        raise InputError(f"a split of {found.id}", got=repr(split), remedy=", ".join(found.splits))
    rows = [
        row for row in every_turn(ledger.load_split(ws, found, split)) if row.target is not None
    ]
    lines = [json.dumps(row_of(row, targets), ensure_ascii=False) for row in rows]
    write_atomically(out, BytesIO(("\n".join(lines) + "\n").encode()))
    told = {"split": split, "rows": len(rows), "targets": targets, "file": out.name}
    ws.audit.append(None, "data.export", found.id, told)
    return len(rows)


def row_of(example: Example, targets: bool) -> dict[str, Json]:
    """Return one row of the export; a source with ``target = "target.…"`` reads it back."""
    messages = [
        {"role": one.role, "content": one.text} | ({} if one.weight else {"weight": 0})
        for one in example.conversation.messages
    ]
    row: dict[str, Json] = {"id": example.id, "messages": messages}
    return row | {"target": to_json(example.target)} if targets else row
