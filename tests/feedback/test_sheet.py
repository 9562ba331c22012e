"""Experts who work in a file: bad rows are named by line and left out, the others saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedback_replies import CLASSIFY, LABELS, serve, stored_text
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.feedback import FeedbackConfig
from metier.feedback.collect import collect
from metier.feedback.record import record_feedback
from metier.feedback.sheet import export_items, import_answers
from metier.feedback.types import CORRECTIONS, Imported
from metier.queue import count_items, get_item, list_items, next_item

CONFIG = FeedbackConfig(audit_share=0)


def collected(ws: Workspace, count: int) -> list[str]:
    """Serve doubtful replies and return the items made of them."""
    serve(ws, *["top up"] * count, confidence=0.1)
    return list(collect(ws, CONFIG, CLASSIFY, LABELS).item_ids)


def take(ws: Workspace, path: Path, *rows: Json, dry_run: bool = False) -> Imported:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return import_answers(ws, CONFIG, CLASSIFY, LABELS, path, "ann", dry_run=dry_run)


def test_out_and_back_in(any_workspace: Workspace, tmp_path: Path) -> None:
    ws, path = any_workspace, tmp_path / "items.jsonl"
    collected(ws, 3)
    reply = list_items(ws, CORRECTIONS)[0].subject_id
    record_feedback(ws, CONFIG, CLASSIFY, LABELS, reply, "demonstration", "refund")
    assert export_items(ws, CLASSIFY, LABELS, path) == 3
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {
        "item_id": list_items(ws, CORRECTIONS)[0].id,
        "interaction_id": reply,
        "reasons": ["low_confidence"],
        "conversation": [{"role": "user", "content": "Where is my card?"}],
        "reply": "top up",
        "suggestion": "refund",
        "answer": None,
    }
    rows[0]["answer"] = rows[0]["suggestion"]
    rows[1] |= {"answer": "top up", "seconds": 9}
    found = take(ws, path, *rows)
    assert found == Imported((rows[0]["item_id"], rows[1]["item_id"]), (), 1, ())
    assert get_item(ws, rows[1]["item_id"]).seconds == 9
    assert {one.failed for one in ledger.list_cases(ws)} == {True, False}
    assert take(ws, path, *rows) == found


def test_bad_rows_are_named_and_the_others_saved(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    first, second, third, fourth = collected(workspace, 4)
    held = next_item(workspace, CORRECTIONS, "ben")
    assert held is not None and held.id == first
    rows = [
        {"item_id": first, "answer": "refund"},
        {"item_id": second, "answer": "cash"},
        "not json",
        "[1]",
        "",
        {"answer": "refund"},
        {"item_id": "item_x", "answer": "refund"},
        {"item_id": third, "reason": "unclear, ask jo@mail.org"},
        {"item_id": third, "answer": "refund"},
        {"item_id": fourth, "answer": "refund", "seconds": "9"},
    ]
    dry = take(workspace, path, *rows, dry_run=True)
    assert count_items(workspace, CORRECTIONS)["open"] == 3
    found = take(workspace, path, *rows)
    assert [row.place for row in found.bad] == [f"{path}:{n}" for n in (1, 2, 3, 4, 6, 7, 9, 10)]
    reasons = [row.why for row in found.bad]
    for part, why in zip(
        ("lease of ben", "one label", "JSON", "JSON", "item_id", "item_x", "at", "seconds"),
        reasons,
        strict=True,
    ):
        assert part in why
    assert (found.corrected, found.skipped, found.unanswered) == ((), (third,), 0)
    assert get_item(workspace, third).note == "unclear, ask [EMAIL]"
    assert [row.place for row in dry.bad] == [row.place for row in found.bad]
    assert (dry.corrected, dry.skipped, dry.dry_run) == ((), (third,), True)
    fixed = take(workspace, path, {"item_id": fourth, "answer": "refund"})
    assert fixed.corrected == (fourth,)
    assert "jo@mail" not in stored_text(workspace, ["queue_items", "audit"])


def test_a_file_of_another_encoding_and_no_file(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    [item] = collected(workspace, 1)
    row = json.dumps({"item_id": item, "answer": "refund"}).encode()
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\xff\xfe{\r\n")
    found = import_answers(workspace, CONFIG, CLASSIFY, LABELS, path, "ann")
    assert (found.corrected, [bad.place for bad in found.bad]) == ((item,), [f"{path}:2"])
    with pytest.raises(NotFound, match="file of answers"):
        import_answers(workspace, CONFIG, CLASSIFY, LABELS, tmp_path / "none", "ann")
