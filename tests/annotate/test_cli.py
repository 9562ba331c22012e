"""``metier annotate`` from making a queue to freezing it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from browser.work_site import make_project
from metier.apps.cli import main
from metier.config import load_project
from metier.core.workspace import Workspace
from metier.journey.desk import Answered, Work, open_desk, open_next, save_work
from metier.journey.session import Session


def answer(session: Session, work: Work, person: str, said: Answered) -> None:
    """Hand in an answer at the desk of the round."""
    save_work(session, open_desk(session, "round-1", person), work.key, person, said)


def test_the_verbs_go_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path).workspace.close()

    def run(*words: str) -> Any:
        line = ["annotate", *words, "--project", str(tmp_path), "--json"]
        monkeypatch.setattr(sys, "argv", ["metier", *line])
        with pytest.raises(SystemExit) as stop:
            main(line)
        found = json.loads(capsys.readouterr().out)
        return found if not stop.value.code else (stop.value.code, found)

    note = tmp_path / "intents.md"
    note.write_text("# Intents\nSay what they want.")
    assert run("guideline", "intents", str(note))["number"] == 1
    make = ("make", "round-1", "--count", "2", "--answers", "1", "--guideline", "intents")
    assert run(*make, "--dry-run")["there_are"] == 40 and run("list") == []
    assert run(*make)["items"] == 2
    assert run("list")[0]["counts"]["wanted"] == 2
    code, refused = run("freeze", "round-1")
    assert code == 2 and "none" in refused["error"]["got"]
    answer_two(tmp_path)
    assert run("status", "round-1")["counts"]["people"] == {"ann": 2}
    assert run("freeze", "round-1", "--dry-run")["settled"] == 2
    assert run("freeze", "round-1")["version_id"].startswith("ver_")


def answer_two(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        session = Session(load_project(folder / "metier.toml"), folder, workspace)
        while (work := open_next(session, "round-1", "ann")) is not None:
            answer(session, work, "ann", Answered("damaged", 1.0))
