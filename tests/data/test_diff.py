"""Two versions are told apart row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.types import Conversation, Example
from metier.core.workspace import Workspace
from metier.data.diff import Moved, diff, rewritten
from tiny_records import example


def frozen(ws: Workspace, config: dict[str, object] | None = None, **splits: list[Example]) -> str:
    labels = {"a": sum(len(rows) for rows in splits.values())}
    card = {
        "sources": [{"path": f"{len(splits)}.csv"}],
        "splits": {"train": {"labels": labels}},
    }
    made = ledger.save_version(
        ws, splits, labels=["a"], config=config or {"seed": 0}, card=card, sources=[]
    )
    return made.id


def test_rows_added_removed_changed_and_moved(workspace: Workspace) -> None:
    rows = [example(n) for n in range(6)]
    reworded = replace(rows[1], conversation=Conversation.of(("user", "another question")))
    a = frozen(workspace, train=rows[:4], test=rows[4:5])
    b = frozen(workspace, train=[reworded, rows[2], rows[4]], test=[rows[3], rows[5]])
    found = diff(workspace, a, b)
    assert found.added == {"test": (rows[5].id,)}
    assert found.removed == {"train": (rows[0].id,)}
    assert found.changed == (rows[1].id,)
    assert set(found.moved) == {
        Moved(rows[3].id, "train", "test"),
        Moved(rows[4].id, "test", "train"),
    }
    assert not found.empty and not found.same_test
    assert found.labels == {}


def test_a_version_does_not_differ_from_itself(workspace: Workspace) -> None:
    a = frozen(workspace, train=[example(1)], test=[example(2)])
    found = diff(workspace, a)
    assert found.empty and found.same_test and found.settings == {}


def test_a_file_saved_again_shows_no_rows(workspace: Workspace) -> None:
    rows = [example(n) for n in range(3)]
    other = [replace(one, id=Example.make_id("d2", str(n))) for n, one in enumerate(rows)]
    a, b = frozen(workspace, train=rows), frozen(workspace, train=[*other, example(7)])
    found = diff(workspace, a, b)
    assert found.added == {"train": (example(7).id,)} and not found.removed


def test_settings_and_sources_that_differ(workspace: Workspace) -> None:
    a = frozen(workspace, {"seed": 0, "min_chars": 1}, train=[example(1)])
    b = frozen(workspace, {"seed": 0, "min_chars": 5}, train=[example(1)], test=[example(2)])
    found = diff(workspace, a, b)
    assert found.settings == {"min_chars": (1, 5)}
    assert (found.sources_added, found.sources_removed) == (("2.csv",), ("1.csv",))
    assert found.labels == {"a": (1, 2)}


def test_texts_are_shown_when_asked_for_and_that_is_audited(workspace: Workspace) -> None:
    before = example(1)
    after = replace(before, conversation=Conversation.of(("user", "said otherwise")))
    a, b = frozen(workspace, train=[before]), frozen(workspace, train=[after])
    (shown,) = rewritten(workspace, diff(workspace, a, b))
    assert shown.before.conversation.text == "question 1"
    assert shown.after.conversation.text == "said otherwise"
    last = list(workspace.audit.entries())[-1]
    assert (last.action, last.detail["rows"]) == ("data.view", [before.id])


def test_no_such_version(workspace: Workspace) -> None:
    frozen(workspace, train=[example(1)])
    with pytest.raises(NotFound):
        diff(workspace, "ver_nothing")
