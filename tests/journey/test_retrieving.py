"""``metier retrieve`` shows hits, and measures them only where relevance is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluate_fakes import bench_of, text_row
from metier.apps.cli import app
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Example
from metier.journey.retrieving import KIND, check_retrieval, retrieve
from metier.journey.session import Session, open_session

PROJECT = """[project]
name = "desk"
[objective]
task = "answer"
"""
FILES = """[retrieval]
documents = [{ path = "docs/*.md" }]
relevant = "document"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "boiler.md").write_text("# Boiler\n\nHold the reset button.")
    (tmp_path / "docs" / "refunds.md").write_text("# Refunds\n\nMoney comes in five days.")
    return tmp_path


def opened(folder: Path, section: str):  # type: ignore[no-untyped-def]
    (folder / "metier.toml").write_text(PROJECT + section)
    return open_session(folder / "metier.toml")


def question(number: int, text: str, **slices: str) -> Example:
    made = text_row(number, text, f"answer {number}")
    return Example(made.id, made.conversation, made.target, made.provenance, slices=slices)


def version(session: Session, *validation: Example) -> None:
    train = [question(50 + i, f"boiler {i}", topic="boiler") for i in range(3)]
    bench_of(
        session.workspace,
        Objective(task="answer"),
        train=train,
        validation=list(validation),
        test=[question(900, "test")],
    )


def test_hits_name_document_and_place(folder: Path) -> None:
    with opened(folder, FILES) as session:
        (hit,) = retrieve(session, "reset the boiler", k=1)
        assert hit.chunk.document == "docs/boiler.md"
        text = (folder / "docs" / "boiler.md").read_text()
        assert text[hit.chunk.start : hit.chunk.end] == hit.chunk.text
        assert retrieve(session, "reset the boiler", 1, "hybrid")[0].chunk == hit.chunk


def test_relevance_comes_from_a_slice(folder: Path) -> None:
    with opened(folder, FILES) as session:
        version(
            session,
            question(1, "how to reset", document="boiler"),
            question(2, "when comes money", document="docs/refunds.md"),
            question(3, "five days of money", document="Boiler"),
            question(4, "unknown", document="lost.md"),
        )
        check = check_retrieval(session, 1, ["bm25", "hybrid"])
        assert (check.questions, check.without) == (3, 1)
        assert check.metrics["bm25"]["recall@1"].value == pytest.approx(2 / 3)
        assert check.metrics["bm25"]["recall@1"].n == 3
        (probe,) = ledger.list_probes(session.workspace, KIND)
        assert {"bm25.mrr", "hybrid.ndcg@1"} <= set(probe.metrics)


def test_from_train_rows_of_the_same_slice_are_relevant(folder: Path) -> None:
    section = '[retrieval]\ndocuments = "from-train"\nrelevant = "topic"\n'
    with opened(folder, section) as session:
        version(session, question(1, "boiler", topic="boiler"), question(2, "x", topic="other"))
        check = check_retrieval(session, 3)
        assert (check.questions, check.without) == (1, 1)
        assert check.metrics["bm25"]["recall@3"].value == 1.0


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (FILES.replace('relevant = "document"\n', ""), "which document answers a question"),
        (FILES.replace('"document"', '"page"'), "a slice 'page'"),
    ],
)
def test_unknown_relevance_says_what_is_needed(folder: Path, section: str, expected: str) -> None:
    with opened(folder, section) as session:
        version(session, question(1, "how", document="boiler"))
        with pytest.raises(InputError, match=expected):
            check_retrieval(session)


def test_the_command_shows_and_measures(folder: Path) -> None:
    with opened(folder, FILES) as session:
        version(session, question(1, "how to reset", document="boiler"))
    run = CliRunner().invoke
    place = ["-p", str(folder)]
    shown = run(app, ["retrieve", "reset the boiler", "-k", "1", *place])
    assert shown.exit_code == 0 and "docs/boiler.md" in shown.stdout
    found = json.loads(run(app, ["retrieve", "money", "--json", *place]).stdout)
    assert found[0]["chunk"]["document"] == "docs/refunds.md" and found[0]["rank"] == 1
    nothing = run(app, ["retrieve", "zebra", *place])
    assert "Nothing in the documents" in nothing.stdout
    measured = run(app, ["retrieve", "--check", *place])
    assert "recall@5" in measured.stdout and "1 validation questions" in measured.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], "a question"), (["x", "--method", "bm52"], "did you mean 'bm25'")],
)
def test_the_command_says_what_is_wrong(folder: Path, arguments: list[str], expected: str) -> None:
    with opened(folder, FILES):
        pass
    done = CliRunner().invoke(app, ["retrieve", *arguments, "-p", str(folder)])
    assert isinstance(done.exception, InputError) and expected in str(done.exception)
