"""A whole build: from messy files to a frozen version, the same whatever the order of rows."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_examples import CLASSIFY, GOOD, MESSY, NOUNS, VERBS, settings_of, write
from metier.core import ledger
from metier.core.errors import ConfigError, InputError
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import version_hash
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.config import DataConfig
from metier.data.quarantine import list_rows, reasons


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    return write(tmp_path / "data", GOOD + MESSY)


def test_a_messy_file_becomes_a_version_and_nothing_is_lost(messy, workspace):
    config = settings_of()
    result = build(config, Objective(task="classify"), workspace, messy, Progress())
    version = result.version
    assert version is not None
    assert sum(version.counts.values()) + len(result.drops) == len(GOOD + MESSY)
    assert Counter(drop.reason for drop in result.drops) == {
        "no_prompt": 1,
        "exact_duplicate": 1,
    }
    assert {one.reason for one in result.suspects} == {"contradiction", "label_may_be_misspelt"}
    assert version.labels == ("delivery", "money", "mony")
    rows = {
        row.id: row
        for split in version.splits
        for row in ledger.load_split(workspace, version, split)
    }
    texts = {row.conversation.text for row in rows.values()}
    assert "The café & bar charged me twice" in texts
    assert "Mail me at [EMAIL] about the missing box" in texts
    assert all(row.group is None or row.group.startswith("grp_") for row in rows.values())
    assert version.card["rows"] == {
        "read": len(GOOD + MESSY),
        "added": 0,
        "kept": len(rows),
        "quarantined": 2,
    }
    assert {(one.step, one.reason) for one in reasons(workspace)} == {
        ("import", "no_prompt"),
        ("exact_duplicates", "exact_duplicate"),
    }
    changes = {(one.step, one.why) for one in ledger.list_changes(workspace)}
    assert {("clean", "mojibake"), ("clean", "html"), ("deidentify", "email")} <= changes
    assert {one.why for one in ledger.list_suspects(workspace)} >= {"contradiction"}


def test_contradictions_stay_on_one_side(messy, workspace):
    for seed in range(3):
        splits = build(
            settings_of(seed=seed, test=0.4), CLASSIFY, workspace, messy, Progress(), dry_run=True
        ).splits
        sides = [
            name
            for name, rows in splits.items()
            for row in rows
            if row.conversation.text.startswith("Where is my order")
        ]
        assert len(sides) == 2
        assert len(set(sides)) == 1


def test_building_again_changes_nothing(messy, workspace):
    first = build(settings_of(), CLASSIFY, workspace, messy, Progress())
    stored = (list_rows(workspace), ledger.list_changes(workspace), ledger.list_suspects(workspace))
    again = build(settings_of(), CLASSIFY, workspace, messy, Progress())
    assert again.version == first.version
    assert again.card == first.card
    assert stored == (
        list_rows(workspace),
        ledger.list_changes(workspace),
        ledger.list_suspects(workspace),
    )
    assert len(ledger.list_versions(workspace)) == 1


def test_a_dry_run_stores_nothing(messy, workspace):
    result = build(settings_of(), CLASSIFY, workspace, messy, Progress(), dry_run=True)
    assert result.version is None
    assert sum(result.counts.values()) == len(GOOD + MESSY) - 2
    assert ledger.list_versions(workspace) == []
    assert list_rows(workspace) == []


def test_the_version_knows_its_sources(messy, workspace):
    version = build(settings_of(), CLASSIFY, workspace, messy, Progress()).version
    kinds = {node.ref.kind for node in workspace.lineage.trace(version.id, "up")}
    assert "source" in kinds


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.randoms(use_true_random=False), workers=st.sampled_from([1, 2]))
def test_the_hash_depends_on_neither_row_order_nor_workers(tmp_path, workspace, order, workers):
    rows = GOOD + MESSY
    plain = write(tmp_path / "plain", rows)
    mixed = write(tmp_path / "mixed", order.sample(rows, len(rows)))
    results = [
        build(settings_of(workers=count), CLASSIFY, workspace, folder, Progress(), dry_run=True)
        for folder, count in ((plain, 1), (mixed, workers))
    ]
    hashes = {
        version_hash((name, row) for name, found in result.splits.items() for row in found)
        for result in results
    }
    assert len(hashes) == 1
    for result in results:
        assert sum(result.counts.values()) + len(result.drops) == len(rows)


def test_progress_names_each_source_and_step(messy, workspace):
    events = []
    build(settings_of(), CLASSIFY, workspace, messy, Progress(events.append))
    started = [event.task for event in events if event.kind == "start"]
    assert started == [
        "import rows.csv",
        "data: clean",
        "data: labels, first look",
        "data: labels",
        "data: deidentify",
        "data: exact_duplicates, first look",
        "data: exact_duplicates",
        "data: near_duplicates, first look",
        "data: near_duplicates",
        "data: split",
        "data: leakage",
        "data: records",
        "data: freeze",
    ]
    ended = [event for event in events if event.kind == "end"]
    assert [event.text for event in ended] == ["done"] * len(started)


def test_steps_can_be_turned_off(messy, workspace):
    config = settings_of(clean=False, deidentify="none", duplicates="keep")
    result = build(config, CLASSIFY, workspace, messy, Progress())
    assert [step.name for step in result.steps] == ["clean", "labels"]
    assert {drop.reason for drop in result.drops} == {"no_prompt"}


def test_listed_labels_send_others_to_quarantine(messy, workspace):
    objective = Objective(task="classify", labels=["delivery", "money"])
    result = build(settings_of(), objective, workspace, messy, Progress())
    (wrong,) = [drop for drop in result.drops if drop.reason == "unknown_label"]
    assert wrong.evidence == {"label": "mony", "nearest": "money"}
    assert result.labels == result.version.labels == ("delivery", "money")


def test_labels_from_data_stay_those_of_the_first_version(tmp_path, workspace):
    rows = [row for row in MESSY if row[1] != "mony"]
    first = write(tmp_path / "first", GOOD + rows)
    build(settings_of(), CLASSIFY, workspace, first, Progress())
    later = write(tmp_path / "later", [*GOOD, *rows, ("A question on taxes", "tax", "m9")])
    result = build(settings_of(), CLASSIFY, workspace, later, Progress())
    assert [d.evidence["label"] for d in result.drops if d.reason == "unknown_label"] == ["tax"]
    assert result.labels == ("delivery", "money")
    renewed = build(settings_of(labels="renew"), CLASSIFY, workspace, later, Progress())
    assert renewed.labels == ("delivery", "money", "tax")
    assert renewed.version.labels == ("delivery", "money", "tax")


def test_another_label_set_is_another_version_of_the_same_rows(messy, workspace):
    config = settings_of()
    first = build(config, CLASSIFY, workspace, messy, Progress())
    listed = Objective(task="classify", labels=["delivery", "money", "mony", "other"])
    second = build(config, listed, workspace, messy, Progress())
    assert second.counts == first.counts
    assert second.version.hash != first.version.hash
    assert second.version.labels == ("delivery", "money", "mony", "other")


def test_going_back_builds_the_older_version_again_and_makes_it_the_latest(messy, workspace):
    first = build(settings_of(earlier="same"), CLASSIFY, workspace, messy, Progress())
    newer = build(settings_of(seed=1, earlier="same"), CLASSIFY, workspace, messy, Progress())
    assert ledger.get_version(workspace).id == newer.version.id
    back = build(settings_of(earlier="same"), CLASSIFY, workspace, messy, Progress())
    assert back.version == first.version
    assert ledger.get_version(workspace).id == first.version.id


def test_labels_that_no_row_has_are_told(messy, workspace):
    objective = Objective(task="classify", labels=["delivery", "money", "other"])
    result = build(settings_of(), objective, workspace, messy, Progress())
    assert result.warnings == ("no row has the label 'other' of [objective] labels",)


def test_no_label_fitting_is_refused(messy, workspace):
    objective = Objective(task="classify", labels=["Delivery!", "Money!"])
    with pytest.raises(
        InputError, match="no label at all; left out for labels outside the set: 'del"
    ):
        build(settings_of(), objective, workspace, messy, Progress())
    assert ledger.list_versions(workspace) == []


def test_no_rows_left_says_which_step_dropped_how_many(messy, workspace):
    with pytest.raises(InputError) as refused:
        build(settings_of(min_chars=5000), CLASSIFY, workspace, messy, Progress())
    message = str(refused.value)
    assert f"none of {len(GOOD + MESSY)}; dropped by import: 1 unreadable; clean: " in message
    assert "too_short" in message
    assert "--dry-run" in message


def test_a_dry_run_shows_what_a_refused_build_drops(messy, workspace):
    config = settings_of(min_chars=5000)
    result = build(config, CLASSIFY, workspace, messy, Progress(), dry_run=True)
    assert result.counts == {}
    assert "a build would be refused: expected rows left after cleaning" in result.warnings[0]
    assert len(result.drops) == len(GOOD + MESSY)
    assert result.card["rows"]["quarantined"] == len(GOOD + MESSY)


def test_no_sources_and_unusable_sources_are_refused(tmp_path, workspace):
    with pytest.raises(ConfigError, match="at least one source"):
        build(DataConfig(), CLASSIFY, workspace, tmp_path, Progress())
    write(tmp_path, [("", "a", "c")] * 3)
    with pytest.raises(InputError, match=r"3 rows, none of them usable; 3 for no_prompt.*rows.csv"):
        build(settings_of(), CLASSIFY, workspace, tmp_path, Progress())
    with pytest.raises(InputError, match=r"rows\.csv"):
        build(settings_of("row.csv"), CLASSIFY, workspace, tmp_path, Progress())


def test_a_file_listed_twice_is_refused_as_such(messy, workspace):
    source = settings_of().sources[0]
    with pytest.raises(InputError, match=r"came already, through the source rows\.csv"):
        build(DataConfig(sources=[source, source]), CLASSIFY, workspace, messy, Progress())


def shipped(folder: Path, test_rows) -> DataConfig:
    write(folder, GOOD, "train.csv")
    write(folder, test_rows, "test.csv")
    sources = [
        {
            "path": f"{name}.csv",
            "prompt": "text",
            "target": "label",
            "group": "customer",
            "split": name,
        }
        for name in ("train", "test")
    ]
    return DataConfig(sources=sources)


NEW = [(f"Something else entirely, number {word}", "money", word) for word in NOUNS]


def test_shipped_splits_are_kept_and_the_test_row_wins(tmp_path, workspace):
    text, label, _ = GOOD[0]
    config = shipped(tmp_path, [*NEW, (text.upper(), label, "somebody")])
    result = build(config, CLASSIFY, workspace, tmp_path, Progress())
    assert result.counts["test"] == len(NEW) + 1
    assert [drop.reason for drop in result.drops] == ["duplicate_of_test"]
    assert result.drops[0].example.conversation.text == text


def test_a_size_that_a_shipped_split_overrides_is_told(tmp_path, workspace):
    config = DataConfig(**{**shipped(tmp_path, NEW).model_dump(exclude_unset=True), "test": 3})
    result = build(config, CLASSIFY, workspace, tmp_path, Progress())
    assert result.counts["test"] == len(NEW)
    assert result.warnings == ("[data] test = 3 is not used: a source ships the test split",)


def test_a_group_on_both_sides_is_refused_and_nothing_frozen(tmp_path, workspace):
    config = shipped(tmp_path, [*NEW, ("An unheard of question", "money", GOOD[0][2])])
    with pytest.raises(InputError, match=r"rows that leak \(2 by the same group\)"):
        build(config, CLASSIFY, workspace, tmp_path, Progress())
    assert ledger.list_versions(workspace) == []
    assert list_rows(workspace) == []


def test_the_training_side_of_a_leak_can_go_to_quarantine(tmp_path, workspace):
    config = shipped(tmp_path, [*NEW, ("An unheard of question", "money", GOOD[0][2])])
    config = config.model_copy(update={"leakage": "quarantine"})
    result = build(config, CLASSIFY, workspace, tmp_path, Progress())
    assert [(drop.step, drop.reason) for drop in result.drops] == [("leakage", "group_leak")] * 2
    assert {drop.example.group for drop in result.drops} == {GOOD[0][2]}
    assert sum(result.counts.values()) == len(GOOD) + len(NEW) + 1 - 2
    assert len(list_rows(workspace, reason="group_leak")) == 2


def test_an_integer_size_that_groups_prevent_is_told(tmp_path, workspace):
    rows = [(f"{n} question about {v}", v, n) for n in NOUNS for v in VERBS]
    write(tmp_path, rows)
    result = build(settings_of(test=5, validation=0), CLASSIFY, workspace, tmp_path, Progress())
    assert result.counts["test"] == 6
    assert result.warnings == ("test has 6 rows instead of 5: groups and classes stay whole",)


KILLED = """
import os, signal, sys
from pathlib import Path
from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build
sys.path.insert(0, sys.argv[3])
from data_examples import settings_of

setattr(ledger, sys.argv[4], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
with Workspace.open(Path(sys.argv[1])) as ws:
    build(settings_of(), Objective(task="classify"), ws, Path(sys.argv[2]), Progress())
"""


@pytest.mark.parametrize("moment", ["add_suspects", "save_version"])
def test_a_killed_build_leaves_a_usable_workspace(messy, tmp_path, moment):
    root = tmp_path / "project"
    Workspace.create(root).close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, root, messy, Path(__file__).parents[1], moment],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Workspace.open(root) as ws:
        assert ledger.list_versions(ws) == []
        result = build(settings_of(), CLASSIFY, ws, messy, Progress())
        assert ledger.list_versions(ws) == [result.version]
        assert len(list_rows(ws)) == len(result.drops)
        assert len(ledger.list_changes(ws)) == len(result.changes)
        assert len(ledger.list_suspects(ws)) == len(result.suspects)


def test_what_an_earlier_split_measured_stays_out_of_training(messy, workspace):
    build(settings_of(), CLASSIFY, workspace, messy, Progress())
    newer = build(settings_of(seed=1), CLASSIFY, workspace, messy, Progress())
    assert any("measured rows of an earlier version" in said for said in newer.warnings)
