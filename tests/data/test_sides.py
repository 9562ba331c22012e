"""Rows keep their side from version to version, and nothing joins a sealed test set."""

from __future__ import annotations

import pytest

from data_examples import CLASSIFY, GOOD, NOUNS, settings_of, write
from metier.core import ledger
from metier.core.progress import Progress
from metier.data.build import build
from metier.data.config import DataConfig
from metier.data.quarantine import list_rows, restore

NEW = [(f"Something else entirely, number {word}", "money", f"new {word}") for word in NOUNS]


def both(**changes) -> DataConfig:
    sources = [
        {"path": path, "prompt": "text", "target": "label", "group": "customer"}
        for path in ("rows.csv", "more.csv")
    ]
    return DataConfig(**{"sources": sources, **changes})


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, GOOD)


def run(folder, workspace, config, **more):
    return build(config, CLASSIFY, workspace, folder, Progress(), **more)


def placed(result):
    return {row.id: name for name, rows in result.splits.items() for row in rows}


def test_a_source_more_leaves_every_row_where_it_was(folder, workspace):
    first = run(folder, workspace, settings_of())
    write(folder, NEW, "more.csv")
    second = run(folder, workspace, both())
    assert placed(first).items() <= placed(second).items()
    assert second.version.splits["test"] == first.version.splits["test"]
    assert second.counts["train"] == first.counts["train"] + len(NEW)
    fewer = run(folder, workspace, settings_of())
    assert fewer.version == first.version


def test_rows_of_a_changed_file_are_known_by_their_content(folder, workspace):
    first = run(folder, workspace, settings_of())
    before = {row.conversation.text for row in first.splits["test"]}
    write(folder, [*NEW, *GOOD])
    second = run(folder, workspace, settings_of())
    assert {row.conversation.text for row in second.splits["test"]} == before


def test_new_rows_that_belong_with_a_sealed_test_row_go_to_quarantine(folder, workspace):
    first = run(folder, workspace, settings_of())
    test = first.splits["test"][0]
    late = [
        ("A question nobody has asked", "money", test.group),
        (f"{test.conversation.text} a", test.target.label, "someone"),
        (test.conversation.text, "money" if test.target.label != "money" else "delivery", "x"),
    ]
    write(folder, [*NEW, *late], "more.csv")
    second = run(folder, workspace, both())
    assert second.version.splits["test"] == first.version.splits["test"]
    reasons = [(drop.step, drop.reason) for drop in second.drops]
    assert sorted(reasons) == [
        ("leakage", "exact_leak"),
        ("leakage", "group_leak"),
        ("near_duplicates", "near_duplicate"),  # the longer one, but the row of the version stays
    ]
    assert "2 rows belong with measured rows of an earlier version" in second.warnings[0]


def test_a_double_that_a_person_restored_joins_the_test_set_and_a_near_one_does_not(
    folder, workspace
):
    first = run(folder, workspace, settings_of())
    test = first.splits["test"][0]
    text, label = test.conversation.text, test.target.label
    write(folder, [*NEW, (text.upper(), label, "x"), (f"{text} a", label, "y")], "more.csv")
    run(folder, workspace, both())
    restore(workspace, [row.id for row in list_rows(workspace) if "duplicate" in row.reason])
    again = run(folder, workspace, both())
    assert text.upper() in {row.conversation.text for row in again.splits["test"]}
    assert [(drop.step, drop.reason) for drop in again.drops] == [("leakage", "near_leak")]


def test_rows_next_to_a_validation_row_join_it(folder, workspace):
    first = run(folder, workspace, settings_of())
    group = first.splits["validation"][0].group
    write(folder, [*NEW, ("A question nobody has asked", "money", group)], "more.csv")
    second = run(folder, workspace, both())
    assert second.counts["validation"] == first.counts["validation"] + 1
    assert second.drops == ()


@pytest.mark.parametrize("change", [{"seed": 3}, {"test": 0.3}, {"validation": 5}])
def test_other_settings_draw_anew(folder, workspace, change):
    first = run(folder, workspace, settings_of())
    second = run(folder, workspace, settings_of(**change))
    assert second.version.splits["test"] != first.version.splits["test"] or "test" not in change
    alone = run(folder, workspace, settings_of(**change), dry_run=True)
    assert placed(alone) == placed(second)


def test_without_a_row_of_its_test_set_an_earlier_version_binds_nobody(folder, workspace):
    write(folder, NEW, "more.csv")
    sources = [dict(one) for one in both().model_dump(exclude_unset=True)["sources"]]
    sources[1]["split"] = "test"
    shipped = run(folder, workspace, DataConfig(sources=sources))
    assert shipped.counts["test"] == len(NEW)
    carved = run(folder, workspace, settings_of())
    assert carved.counts["test"] == 10


def test_rows_that_now_belong_together_draw_the_split_anew(folder, workspace):
    source = {"path": "rows.csv", "prompt": "text", "target": "label"}
    first = run(folder, workspace, DataConfig(sources=[source]))
    assert first.counts["test"] == 10
    grouped = run(folder, workspace, settings_of())
    assert "the split was drawn anew" in grouped.warnings[0]
    groups = [{row.group for row in rows} for rows in grouped.splits.values()]
    assert sum(len(found) for found in groups) == len(set().union(*groups))


def test_a_version_that_was_frozen_without_settings_binds_nobody(folder, workspace):
    row = run(folder, workspace, settings_of(), dry_run=True).splits["train"][0]
    ledger.save_version(workspace, {"test": [row]}, labels=[], config={}, card={}, sources=[])
    result = run(folder, workspace, settings_of(labels="renew"))
    assert placed(result)[row.id] == "train"
