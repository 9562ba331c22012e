"""A project's documents: read from files or training replies, indexed once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from evaluate_fakes import ROUTING, fields_row, labelled, text_row
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.workspace import Workspace
from metier.retrieval import knowledge as module
from metier.retrieval.config import DocumentSource, RetrievalConfig
from metier.retrieval.documents import read_documents, training_documents
from metier.retrieval.knowledge import Knowledge, copied_share, stored_index
from metier.retrieval.types import Document

ANSWER = Objective(task="answer")
LONG = "Hold the red button on the left side for ten seconds until the light turns green."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "boiler.md").write_text("# The boiler\n\nHold the button.", encoding="utf-8")
    (docs / "deep" / "refunds.txt").write_text("Within five days. 北京", encoding="utf-8")
    (docs / "empty.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "faq.csv").write_text('id,q,a\n1,How?,"So, so."\n2,Why?,\n', encoding="utf-8")
    (tmp_path / "faq.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n', encoding="utf-8")
    return tmp_path


def read(folder: Path, **source: str) -> list[Document]:
    return read_documents([DocumentSource(**source)], folder)  # type: ignore[arg-type]


def test_text_files_are_documents(folder: Path) -> None:
    assert read(folder, path="docs") == [
        Document("docs/boiler.md", "# The boiler\n\nHold the button.", "The boiler"),
        Document("docs/deep/refunds.txt", "Within five days. 北京", "refunds"),
    ]
    assert [d.id for d in read(folder, path="docs/**/*.txt")] == ["docs/deep/refunds.txt"]


def test_rows_are_documents(folder: Path) -> None:
    (row,) = read(folder, path="faq.csv", text="a", title="q", id="id")
    assert row == Document("1", "So, so.", "How?")
    one, two = read(folder, path="faq.jsonl")
    assert (one.text, one.title) == ("One.", "") and one.id != two.id


def test_what_cannot_be_read_is_told_with_its_place(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"text": "One."}\n{oops\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.jsonl:2: not JSON"):
        read(folder, path="bad.jsonl")
    with pytest.raises(InputError, match="did you mean 'a'"):
        read(folder, path="faq.csv", text="aa")
    with pytest.raises(InputError, match="a file, folder or glob"):
        read(folder, path="nowhere/*.md")


def test_training_replies_are_documents() -> None:
    rows = [text_row(1, "How?", "So."), text_row(2, "Why?", " ")]
    assert training_documents(rows, ANSWER) == [Document(rows[0].id, "So.", "How?")]
    (form,) = training_documents([fields_row(3, "Late", "delivery", "It comes.")], ROUTING)
    assert (form.text, form.title) == ("It comes.", "Late")
    with pytest.raises(InputError, match="training replies that are texts"):
        training_documents(labelled(0, [("a", "b")]), Objective(task="classify"))


def test_an_index_is_made_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [Document("a", "Hold the button.")]
    config = RetrievalConfig()
    first = stored_index(documents, config, workspace)
    with monkeypatch.context() as patched:
        patched.setattr(module, "build_index", lambda *parts: pytest.fail("made again"))
        assert stored_index(documents, config, workspace).fingerprint == first.fingerprint
    assert first.embedder is None
    assert stored_index(documents, config, workspace, ["hybrid"]).embedder is not None
    changed = stored_index([Document("a", "Hold it.")], config, workspace)
    assert changed.fingerprint != first.fingerprint


def test_no_documents_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \[retrieval\] documents"):
        Knowledge(RetrievalConfig(), tmp_path).documents([], ANSWER)


def test_from_train_sees_what_it_is_given(tmp_path: Path) -> None:
    config = RetrievalConfig(documents="from-train")
    rows = [text_row(1, "How?", "So.")]
    assert [d.id for d in Knowledge(config, tmp_path).documents(rows, ANSWER)] == [rows[0].id]


def test_copied_answers_are_counted() -> None:
    documents = [Document("a", f"Before. {LONG.upper()} After."), Document("b", "Other.")]
    other = LONG.replace("green", "blue and stays so for a while")
    assert copied_share([LONG, other, "Short."], documents) == 0.5
    assert copied_share(["Short."], documents) == 0.0
    assert copied_share([], []) == 0.0


def test_the_config_keeps_sizes_apart() -> None:
    with pytest.raises(ValidationError, match="overlap_words must be less"):
        RetrievalConfig(chunk_words=30, overlap_words=30)
    with pytest.raises(ValidationError):
        RetrievalConfig(method=())
    assert not RetrievalConfig().configured
    assert RetrievalConfig(documents=[{"path": "x"}]).configured  # type: ignore[list-item]
    assert RetrievalConfig(method=("bm25", "hybrid")).needs_embedder
