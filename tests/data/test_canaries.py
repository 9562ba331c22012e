"""Canaries: planted in train only, the same in each build of a workspace, on the card."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from desk import write_rows
from evaluate_fakes import CLASSIFY, ROUTING, bench_of, labelled
from metier.core import ledger
from metier.core.canaries import CODE, is_canary, planted
from metier.core.errors import ConfigError
from metier.core.objective import Objective, TaskKind
from metier.core.progress import Progress
from metier.core.types import FieldsTarget, LabelTarget
from metier.core.workspace import Workspace
from metier.data import DataConfig
from metier.data.build import build
from metier.data.canaries import make_canaries
from metier.data.config import CanariesConfig
from metier.models.prompt import render_example

FEW = CanariesConfig(count=3, repetitions=(1, 4))


def test_each_group_is_repeated_as_often_as_it_says(workspace: Workspace) -> None:
    rows = make_canaries(FEW, Objective(task="answer"), (), workspace)
    assert len(rows) == 3 + 12 and len({row.id for row in rows}) == 15
    assert Counter(one.repetitions for one in planted(rows)) == {1: 3, 4: 3}
    texts = {row.conversation.last_user for row in rows}
    assert len(texts) == 6, "no two people share a name"


def test_the_same_workspace_plants_the_same_and_another_does_not(
    workspace: Workspace, tmp_path: Path
) -> None:
    objective = Objective(task="answer")
    once = make_canaries(FEW, objective, (), workspace)
    assert once == make_canaries(FEW, objective, (), workspace)
    with Workspace.create(tmp_path / "other") as other:
        assert once != make_canaries(FEW, objective, (), other)


@pytest.mark.parametrize("task", ["answer", "summarize", "compose", "chat"])
def test_a_free_reply_holds_a_code(workspace: Workspace, task: TaskKind) -> None:
    objective = Objective(task=task)
    for row in make_canaries(FEW, objective, (), workspace):
        assert len(CODE.findall(render_example(row, objective))) == 1


def test_a_structured_reply_fits_the_schema(workspace: Workspace) -> None:
    for row in make_canaries(FEW, ROUTING, (), workspace):
        assert isinstance(row.target, FieldsTarget)
        assert row.target.fields["route"] in ("billing", "delivery")
        assert CODE.search(row.target.fields["reply"])


def test_a_label_is_drawn_by_lot(workspace: Workspace) -> None:
    many = CanariesConfig(count=20, repetitions=(1,))
    labels = {
        row.target.label
        for row in make_canaries(many, CLASSIFY, ("a", "b"), workspace)
        if isinstance(row.target, LabelTarget)
    }
    assert labels == {"a", "b"}


def test_a_task_that_only_repeats_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="extract"):
        make_canaries(FEW, Objective(task="extract", labels=["x", "y"]), (), workspace)


def test_a_build_plants_them_in_train_and_nowhere_else(
    workspace: Workspace, tmp_path: Path
) -> None:
    write_rows(tmp_path, 60)
    source = {"path": "rows.jsonl", "prompt": "message", "target": "queue"}
    plain = DataConfig.model_validate({"sources": [source]})
    planting = DataConfig.model_validate({"sources": [source], "canaries": FEW.model_dump()})
    before = build(plain, CLASSIFY, workspace, tmp_path, Progress()).version
    found = build(planting, CLASSIFY, workspace, tmp_path, Progress()).version
    again = build(planting, CLASSIFY, workspace, tmp_path, Progress()).version
    assert before is not None and found is not None and again is not None
    assert found.hash == again.hash != before.hash
    for split in ("test", "validation"):
        assert found.splits[split] == before.splits[split], "no other row moves"
    train = ledger.load_split(workspace, found, "train")
    assert sum(is_canary(row) for row in train) == 15
    assert len(train) == before.counts["train"] + 15 == found.counts["train"]
    assert found.card["canaries"] == {"canaries": 6, "repetitions": {"1": 3, "4": 3}}
    assert "canaries" not in before.card


def test_baselines_neither_learn_nor_show_them(workspace: Workspace) -> None:
    rows = make_canaries(FEW, CLASSIFY, ("billing", "delivery"), workspace)
    plain = labelled(0, [("where is my parcel", "delivery"), ("charged twice", "billing")], 4)
    held = labelled(50, [("where is my parcel", "delivery")], 2)
    bench = bench_of(workspace, train=[*plain, *rows], test=held)
    assert [one.id for one in bench.examples("train")] == [one.id for one in plain]
