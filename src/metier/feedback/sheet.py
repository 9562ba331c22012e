"""Experts who work in a file: the open items out, the answers back in.

Out, one JSON object a line:  {item_id, reasons, conversation, reply, suggestion, answer: null}
In:                           {item_id, answer[, reason][, seconds]}

A row with a ``reason`` and no answer skips its item. A row that cannot be used is left out and
named by file and line; the others are saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from metier.core.artifacts import write_atomically
from metier.core.codec import dumps
from metier.core.errors import Busy, InputError, NotFound, UserError
from metier.core.objective import Objective
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.feedback.answers import read_answer
from metier.feedback.config import FeedbackConfig
from metier.feedback.correct import answerable, correct_item
from metier.feedback.types import CORRECTIONS, BadRow, Imported, Work
from metier.feedback.work import show_items
from metier.queue import get_item, list_items, skip_item


def export_items(ws: Workspace, objective: Objective, labels: Sequence[str], path: Path) -> int:
    """Write the open items to ``path`` as JSON lines; return how many."""
    works = show_items(ws, objective, labels, list_items(ws, CORRECTIONS, "open"))
    lines = [dumps(_row(work)) for work in works]
    write_atomically(path, BytesIO("".join(f"{line}\n" for line in lines).encode()))
    return len(lines)


def import_answers(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    path: Path,
    worker: str,
    *,
    dry_run: bool = False,
) -> Imported:
    """Save the answers in a file of JSON lines. Raises NotFound when there is no such file."""
    sheet = _Sheet(ws, config, objective, labels, worker, dry_run)
    for place, line in _lines(path):
        try:
            sheet.take(line, place)
        except UserError as error:
            sheet.bad.append(BadRow(place, str(error).replace("\n", "; ")))
    return Imported(
        tuple(sheet.corrected), tuple(sheet.skipped), sheet.unanswered, tuple(sheet.bad), dry_run
    )


@dataclass
class _Sheet:
    """One import under way."""

    ws: Workspace
    config: FeedbackConfig
    objective: Objective
    labels: Sequence[str]
    worker: str
    dry_run: bool
    corrected: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unanswered: int = 0
    bad: list[BadRow] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    def take(self, line: str, place: str) -> None:
        """Save one row. Raises UserError where it cannot be used."""
        row = _parsed(line)
        item_id = _text(row, "item_id")
        first = self.seen.setdefault(item_id, place)
        if first != place:
            raise InputError("each item once", got=f"{item_id}, which is at {first} already")
        answer, reason = row.get("answer"), row.get("reason")
        if answer is not None:
            self._answer(item_id, answer, _seconds(row))
        elif reason is not None:
            self._skip(item_id, _text(row, "reason"))
        else:
            self.unanswered += 1

    def _answer(self, item_id: str, answer: Json, seconds: float | None) -> None:
        if self.dry_run:
            self._look(item_id)
            read_answer(self.objective, self.labels, answer)
        else:
            correct_item(
                self.ws, self.config, self.objective, self.labels, item_id, self.worker, answer,
                seconds,
            )  # fmt: skip
        self.corrected.append(item_id)

    def _skip(self, item_id: str, reason: str) -> None:
        if self.dry_run:
            self._look(item_id)
        else:
            skip_item(self.ws, item_id, self.worker, reason)
        self.skipped.append(item_id)

    def _look(self, item_id: str) -> None:
        answerable(self.ws, item_id)
        item = get_item(self.ws, item_id)
        if item.leased_by not in (None, self.worker):
            raise Busy(f"{item_id} to be free", got=f"a lease of {item.leased_by}")


def _row(work: Work) -> dict[str, Json]:
    return {
        "item_id": work.item.id,
        "interaction_id": work.interaction.id,
        "reasons": list(work.item.reasons),
        "conversation": [
            {"role": turn.role, "content": turn.text} for turn in work.conversation.messages
        ],
        "reply": work.reply,
        "suggestion": work.suggestion,
        "answer": None,
    }


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    if not path.is_file():
        raise NotFound("a file of answers", got=f"no file {path}", remedy="check the name")
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        text = line.decode("utf-8-sig", errors="replace")
        if text.strip():
            yield f"{path}:{number}", text


def _parsed(line: str) -> Mapping[str, Json]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("a JSON object", got=str(error)[:80]) from error
    if not isinstance(row, dict):
        raise InputError("a JSON object", got=type(row).__name__)
    return row


def _text(row: Mapping[str, Json], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} as a text", got=repr(value)[:60])
    return value


def _seconds(row: Mapping[str, Json]) -> float | None:
    value = row.get("seconds")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError("seconds as a number", got=repr(value)[:60])
    return value
