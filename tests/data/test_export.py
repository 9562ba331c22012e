"""What is written for other tools is read back as the same examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluate_fakes import ROUTING, fields_row, text_row
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    PreferenceTarget,
    Provenance,
)
from metier.core.workspace import Workspace
from metier.data.export import FORMATS, export_version, row_of
from metier.sources import SourceConfig, read_rows, to_example
from metier.sources.types import Row

ANSWER = Objective(task="answer")
ODD = 'Where is "it", naïve 🙂?\nSecond line\t\\ end'
CHAT = Conversation.of(("system", "Be kind."), ("user", ODD), ("assistant", "Here."), ("user", "?"))


def chat_row(number: int, conversation: Conversation = CHAT) -> Example:
    provenance = Provenance("in", "d", str(number))
    return Example(
        Example.make_id("d", str(number)), conversation, CompletionTarget(ODD), provenance
    )


def frozen(ws: Workspace, **splits: list[Example]) -> None:
    card = {
        "sources": [{"path": "a.csv", "licence": "CC BY 4.0", "digest": "0" * 64, "rows": 3,
                     "usable": 3, "split": None}],
        "splits": {}, "rows": {"read": 3, "kept": 3, "quarantined": 0}, "steps": [], "seed": 0,
    }  # fmt: skip
    ledger.save_version(ws, splits, labels=[], config={}, card=card, sources=[])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("how", ["openai", "sharegpt"])
def test_conversations_come_back_whole(workspace: Workspace, tmp_path: Path, how: Any) -> None:
    rows = [chat_row(1), chat_row(2, Conversation.of(("user", "one")))]
    frozen(workspace, train=rows, test=[chat_row(3)])
    done = export_version(workspace, ANSWER, tmp_path / "out", how)
    assert done.files == ("train.jsonl",) and done.rows == {"train": 2}
    config = SourceConfig(path="train.jsonl")
    back = []
    for row in read_rows(config, tmp_path / "out"):
        assert isinstance(row, Row)
        made = to_example(row, config, ANSWER, "digest")
        assert isinstance(made, Example)
        back.append((made.conversation, made.target))
    assert back == [(one.conversation, one.target) for one in rows]


def test_alpaca_holds_single_turns_only(workspace: Workspace, tmp_path: Path) -> None:
    plain = chat_row(1, Conversation.of(("system", "Be kind."), ("user", ODD)))
    assert row_of(plain, ANSWER, "alpaca") == {
        "instruction": ODD, "input": "", "output": ODD, "system": "Be kind.",
    }  # fmt: skip
    with pytest.raises(InputError, match="alpaca holds one turn"):
        row_of(chat_row(2), ANSWER, "alpaca")


def test_preferences_are_written_as_such() -> None:
    pair = Example(
        "ex_1",
        Conversation.of(("user", "q")),
        PreferenceTarget("good", "bad"),
        Provenance("in", "d", "1"),
    )
    openai, trl = row_of(pair, ANSWER, "openai"), row_of(pair, ANSWER, "trl")
    assert openai["preferred_output"] == [{"role": "assistant", "content": "good"}]
    assert openai["non_preferred_output"] == [{"role": "assistant", "content": "bad"}]
    assert trl["chosen"][0]["content"] == "good" and trl["prompt"][0]["content"] == "q"
    with pytest.raises(InputError, match="holds no preferences"):
        row_of(pair, ANSWER, "sharegpt")


def test_fields_are_written_as_the_reply_a_model_gives() -> None:
    example = fields_row(1, "broken", "repair", "Sorry.")
    reply = row_of(example, ROUTING, "trl")["completion"][0]["content"]
    assert json.loads(reply)["route"] == "repair"


def test_a_hub_data_set_is_read_by_the_library(workspace: Workspace, tmp_path: Path) -> None:
    import datasets

    frozen(workspace, train=[text_row(1, ODD, "a")], validation=[text_row(2, "b", "c")])
    export_version(workspace, ANSWER, tmp_path / "hub", "hub")
    loaded = datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"][0]["messages"][0]["content"] == ODD
    assert loaded["validation"].num_rows == 1
    head = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert 'license: "CC BY 4.0"' in head and "# Data card" in head


def test_the_test_split_leaves_only_when_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    frozen(workspace, train=[chat_row(1)], test=[chat_row(2)], challenge=[chat_row(3)])
    assert export_version(workspace, ANSWER, tmp_path / "n", "trl").rows == {"train": 1}
    done = export_version(workspace, ANSWER, tmp_path / "t", "trl", splits=["test"])
    assert done.files == ("test.jsonl",)
    assert len(lines(tmp_path / "t" / "test.jsonl")) == 1
    last = list(workspace.audit.entries())[-1]
    assert last.action == "data.export" and last.detail["splits"] == ["test"]


def test_nothing_is_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    frozen(workspace, train=[chat_row(1)])
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="empty folder"):
        export_version(workspace, ANSWER, tmp_path, "openai")
    with pytest.raises(InputError, match="a split"):
        export_version(workspace, ANSWER, tmp_path / "x", "openai", splits=["trian"])


def test_every_format_is_known() -> None:
    assert set(FORMATS) == {"openai", "trl", "sharegpt", "alpaca", "parquet", "hub"}
