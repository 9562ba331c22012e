"""``metier feedback``, as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import desk
from feedback_replies import LABELS, serve
from metier.core.objective import Objective
from metier.core.workspace import Workspace
from metier.feedback import FeedbackConfig
from metier.feedback.labels import current_labels
from metier.feedback.record import record_feedback
from metier.queue import next_item
from tiny_records import example, save

OBJECTIVE = '[objective]\ntask = "classify"\nlabels = ["card_arrival", "top_up", "refund"]\n'
TASK = Objective(task="classify", labels=list(LABELS))
AUDIT_OFF = "[feedback]\naudit_share = 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with three served replies, of which users said something."""
    made = desk.project(tmp_path, desk.HEAD + OBJECTIVE + AUDIT_OFF)
    with Workspace.create(made) as ws:
        first, second, _ = serve(ws, "top up", "top up", "top up", confidence=0.9)
        record_feedback(ws, FeedbackConfig(), TASK, LABELS, first, "helpful", False)
        record_feedback(ws, FeedbackConfig(), TASK, LABELS, second, "demonstration", "refund")
    return made


def call(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    code, out, err = desk.run(capsys, "feedback", *words, "--project", str(folder), "--json")
    assert code == 0, err
    return json.loads(out)


def words(capsys: pytest.CaptureFixture[str], folder: Path, *given: str) -> str:
    code, out, err = desk.run(capsys, "feedback", *given, "--project", str(folder))
    assert code == 0, err
    return out


def test_from_votes_to_answers(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    listed = call(capsys, folder, "list")
    assert listed["counts"] == {"helpful": 1, "demonstration": 1}
    assert [one["metric"] for one in listed["latest"]] == ["demonstration", "helpful"]
    assert call(capsys, folder, "collect", "--dry-run")["new"] == 2
    assert call(capsys, folder, "queue")["counts"]["open"] == 0
    found = call(capsys, folder, "collect")
    assert (found["looked_at"], found["by_reason"]) == (3, {"bad_helpful": 1, "correction": 1})
    assert len(call(capsys, folder, "accept", "--demonstrations", "--dry-run")["corrected"]) == 1
    assert len(call(capsys, folder, "accept", "--demonstrations")["corrected"]) == 1
    sheet = folder / "items.jsonl"
    assert call(capsys, folder, "export", str(sheet))["exported"] == 1
    row = json.loads(sheet.read_text())
    sheet.write_text(json.dumps(row | {"answer": "card arrival"}) + "\n")
    done = call(capsys, folder, "correct", str(sheet), "--worker", "ann")
    assert done["corrected"] == [row["item_id"]]
    assert call(capsys, folder, "queue")["counts"]["done"] == 2


def test_in_words(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert "helpful 1" in words(capsys, folder, "list")
    assert "3 replies looked at: 2 items made" in words(capsys, folder, "collect")
    with Workspace.open(folder) as ws:
        next_item(ws, "corrections", "ann")
    out = words(capsys, folder, "queue")
    assert "open 1, leased 1, done 0, skipped 0" in out and "ann" in out
    assert "0 answered" in words(capsys, folder, "accept", "--demonstrations")
    assert "1 open items" in words(capsys, folder, "export", str(folder / "out.jsonl"))


def test_bad_rows_are_told_and_the_exit_code_says_so(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    words(capsys, folder, "collect")
    sheet = folder / "in.jsonl"
    sheet.write_text('{"item_id": "item_x", "answer": "refund"}\n')
    given = ["feedback", "correct", str(sheet), "--project", str(folder)]
    code, out, _ = desk.run(capsys, *given)
    assert code == 1
    assert f"left out {sheet}:1" in out and "1 left out" in out


def test_accept_wants_to_be_meant(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, _, err = desk.run(capsys, "feedback", "accept", "--project", str(folder))
    assert code == 2 and "--demonstrations" in err


def test_a_project_that_served_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    desk.project(tmp_path, desk.HEAD + OBJECTIVE)
    assert "no feedback yet" in words(capsys, tmp_path, "list")
    assert "0 replies looked at" in words(capsys, tmp_path, "collect")


def test_labels_are_the_versions_or_the_projects(workspace: Workspace) -> None:
    assert current_labels(workspace, TASK) == LABELS
    assert current_labels(workspace, Objective(task="classify")) == ()
    save(workspace, {"train": [example(1)]})
    assert current_labels(workspace, TASK) == ("a", "b")


def test_labels_are_first_of_all_the_champions(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from metier import registry

    save(workspace, {"train": [example(1)]})
    monkeypatch.setattr(registry, "aliases", lambda _: {"champion": "v3"})
    manifests = {"v3": SimpleNamespace(labels=("c", "d"))}
    monkeypatch.setattr(registry, "load_manifest", lambda _, release: manifests[release])
    assert current_labels(workspace, TASK) == ("c", "d")
