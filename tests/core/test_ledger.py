"""Records are stored whole, found again, and linked."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import tiny_records
from metier.core import ledger
from metier.core.errors import InputError, NotFound, OutOfSpace
from metier.core.ids import new_id
from metier.core.lineage import Ref
from metier.core.records import DataVersion, EvaluationReport, Look, MetricPoint, Probe
from metier.core.steps import Change, Drop, Suspect
from metier.core.types import Estimate, Example, LabelTarget
from metier.core.workspace import Workspace
from tiny_records import example, prediction, report, save


def test_a_version_comes_back_as_it_was_frozen(any_workspace: Workspace) -> None:
    ws = any_workspace
    version = save(ws, {"train": [example(1), example(2)], "test": [example(3)]})
    assert ledger.get_version(ws) == version
    assert ledger.get_version(ws, version.id[:-4]) == version
    assert ledger.load_split(ws, version, "train") == [example(1), example(2)]
    assert version.counts == {"train": 2, "test": 1}


def test_the_same_examples_are_the_same_version(any_workspace: Workspace) -> None:
    ws = any_workspace
    first = save(ws, {"train": [example(1, "Ann"), example(2)]})
    again = save(ws, {"train": [example(2), example(1, "Ann")]})
    assert again == first
    assert ledger.list_versions(ws) == [first]
    assert save(ws, {"test": [example(1, "Ann"), example(2)]}).id != first.id


def test_the_latest_version_is_the_one_built_last(any_workspace: Workspace) -> None:
    ws = any_workspace
    first, second = save(ws, {"train": [example(1)]}), save(ws, {"train": [example(2)]})
    assert ledger.get_version(ws) == second
    assert save(ws, {"train": [example(1)]}) == first
    assert ledger.get_version(ws) == first
    assert ledger.list_versions(ws) == [first, second]


def test_a_label_more_is_another_version(workspace: Workspace) -> None:
    first = save(workspace, {"train": [example(1)]})
    source = ledger.record_source(workspace, "in.csv", "d1", 10)
    wider = ledger.save_version(
        workspace,
        {"train": [example(1)]},
        labels=["a", "b", "c"],
        config={},
        card={},
        sources=[source],
    )
    assert wider.id != first.id
    assert wider.labels == ("a", "b", "c")


def test_group_names_are_stored_only_as_keyed_hashes(any_workspace: Workspace) -> None:
    ws = any_workspace
    version = save(ws, {"train": [example(1, "Ann Smith")]})
    [loaded] = ledger.load_split(ws, version, "train")
    assert loaded.group == ws.sealed.group_hash("Ann Smith")
    assert b"Ann" not in ws.artifacts.get_bytes(version.splits["train"])
    assert save(ws, {"train": [loaded]}) == version


def test_an_example_in_two_splits_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="more than once"):
        save(workspace, {"train": [example(1)], "test": [example(1)]})


def test_a_run_and_its_series(any_workspace: Workspace) -> None:
    ws = any_workspace
    version = save(ws, {"train": [example(1)]})
    run = ledger.start_run(ws, version, "metier/tiny", {"lr": 2e-4})
    ledger.record_metrics(ws, run.id, [MetricPoint(1, "loss", 2.0), MetricPoint(2, "loss", 1.0)])
    ledger.record_metrics(ws, run.id, [MetricPoint(2, "loss", float("inf"))])
    assert ledger.metric_points(ws, run.id) == [
        MetricPoint(1, "loss", 2.0),
        MetricPoint(2, "loss", float("inf")),
    ]
    done = ledger.finish_run(ws, run.id, "done", None, {"best_step": 1})
    assert done.state == "done"
    assert done.finished_at is not None
    assert ledger.get_run(ws) == done
    assert ledger.resume_run(ws, run.id).finished_at is None


def test_an_evaluation_and_its_predictions(any_workspace: Workspace) -> None:
    ws = any_workspace
    version = save(ws, {"test": [example(1)]})
    answers = [prediction(example(1))]
    saved = ledger.save_evaluation(ws, report(version.id), answers)
    assert ledger.load_predictions(ws, ledger.get_evaluation(ws, saved.id)) == answers
    assert [one.id for one in ledger.list_evaluations(ws, version.id)] == [saved.id]


def tuned(version_id: str, **changes: Any) -> EvaluationReport:
    return report(version_id, rung="tuned", **changes)


def test_the_budget_of_looks_is_that_the_test_set_was_frozen_with(workspace: Workspace) -> None:
    ws = workspace

    def freeze(budget: int, *numbers: int) -> DataVersion:
        splits = {"train": [example(n) for n in numbers], "test": [example(1)]}
        return ledger.save_version(
            ws, splits, labels=["a", "b"], config={}, card={}, sources=[], looks_budget=budget
        )

    assert freeze(2, 3).looks_budget == 2
    again = freeze(50, 3, 5)
    assert again.looks_budget == ledger.get_version(ws, again.id).looks_budget == 2
    run = ledger.start_run(ws, again, "metier/tiny", {})
    for number in range(3):
        made = tuned(again.id, run_id=run.id, fingerprint=f"f{number}")
        last = ledger.look_of(ws, ledger.save_evaluation(ws, made, []))
    assert (last.number, last.allowed, last.left) == (3, False, 0)


def test_looks_count_tuned_candidates_on_the_test_split_once_each(workspace: Workspace) -> None:
    ws = workspace
    version = save(ws, {"test": [example(1)]})
    run = ledger.start_run(ws, version, "metier/tiny", {})
    ledger.save_evaluation(ws, report(version.id), [])
    ledger.save_evaluation(ws, tuned(version.id, split="validation", run_id=run.id), [])
    ledger.save_evaluation(ws, report(version.id, rung="champion", run_id=run.id), [])
    assert ledger.get_version(ws).looks_used == 0
    saved = [
        ledger.save_evaluation(ws, tuned(version.id, run_id=run.id, fingerprint=fingerprint), [])
        for fingerprint in ("f2", "f2", "f3")
    ]
    assert ledger.get_version(ws).looks_used == 2
    looks = [ledger.look_of(ws, one) for one in saved]
    assert looks == [Look(1, 5, 2), Look(1, 5, 2), Look(2, 5, 2)]
    assert ledger.look_of(ws, report(version.id)).number == 0
    assert (looks[2].left, looks[2].allowed, str(looks[2])) == (3, True, "look 2 of 5")


def test_looks_are_shared_by_versions_with_one_test_set(any_workspace: Workspace) -> None:
    ws = any_workspace
    first = save(ws, {"test": [example(1)]})
    run = ledger.start_run(ws, first, "metier/tiny", {})
    ledger.save_evaluation(ws, tuned(first.id, run_id=run.id), [])
    second = save(ws, {"train": [example(2)], "test": [example(1)]})
    assert second.looks_used == 1
    for fingerprint in ("f1", "f2"):
        made = tuned(second.id, run_id=run.id, fingerprint=fingerprint)
        last = ledger.save_evaluation(ws, made, [])
    assert [one.looks_used for one in ledger.list_versions(ws)] == [2, 2]
    assert ledger.look_of(ws, last) == Look(2, 5, 2)
    assert save(ws, {"train": [example(2)]}).looks_used == 0


def test_looks_follow_the_items_under_other_labels(any_workspace: Workspace) -> None:
    ws = any_workspace
    first = save(ws, {"train": [example(2)], "test": [example(1), example(3)]})
    run = ledger.start_run(ws, first, "metier/tiny", {})

    def measure(version: DataVersion, fingerprint: str) -> Look:
        made = tuned(version.id, run_id=run.id, fingerprint=fingerprint)
        return ledger.look_of(ws, ledger.save_evaluation(ws, made, []))

    def made_from(one: DataVersion, rows: list[Example]) -> DataVersion:
        how = (Ref("version", one.id), "labelled from")
        return ledger.save_version(
            ws, {"test": rows}, labels=["b"], config={}, card={}, sources=[], made_from=how
        )

    assert measure(first, "f1") == Look(1, 5, 1)
    relabelled = [replace(one, target=LabelTarget("b")) for one in (example(1), example(3))]
    second = made_from(first, relabelled)
    assert (second.looks_used, second.looks_budget) == (1, 5)
    assert measure(second, "f1") == Look(2, 5, 2), "other labels: the gate decides once more"
    third = made_from(second, relabelled[:1])
    assert measure(third, "f2").number == measure(first, "f3").number - 1 == 3
    assert measure(first, "f1") == Look(1, 5, 4)
    assert {one.looks_used for one in ledger.list_versions(ws)} == {4}
    assert save(ws, {"test": [example(1), example(3), example(9)]}).looks_used == 0


def test_a_version_is_not_made_from_itself(workspace: Workspace) -> None:
    ws = workspace
    first = save(ws, {"test": [example(1)]})
    again = ledger.save_version(
        ws, {"test": [example(1)]}, labels=["a", "b"], config={}, card={}, sources=[],
        made_from=(Ref("version", first.id), "labelled from"),
    )  # fmt: skip
    assert again.id == first.id
    assert "version" not in [node.ref.kind for node in ws.lineage.trace(first.id)[1:]]


def test_members_are_listed_without_reading_them(any_workspace: Workspace) -> None:
    version = save(any_workspace, {"train": [example(1)], "test": [example(3)]})
    assert set(ledger.list_members(any_workspace, version)) == {
        ledger.Member(example(n).id, example(n).content_hash, split)
        for n, split in ((1, "train"), (3, "test"))
    }


def test_quarantine_is_listed_opened_and_restored(any_workspace: Workspace) -> None:
    ws = any_workspace
    drop = Drop(example(1, "Ann"), "too_short", {"chars": 3})
    bad = ledger.BadInput("in.csv", "7", "bad_json", '{"a": ')
    ids = ledger.add_quarantine(ws, "length", [drop, bad])
    assert [one.id for one in ledger.list_quarantine(ws)] == ids
    assert ledger.count_quarantine(ws) == {("length", "too_short"): 1, ("length", "bad_json"): 1}
    content = ledger.open_quarantine(ws, ids[0], actor="mara", purpose="review")
    assert content.example == example(1, "Ann")
    assert content.evidence == {"chars": 3}
    assert ledger.open_quarantine(ws, ids[1], purpose="review").raw == '{"a": '
    assert ledger.restore_quarantine(ws, ids[:1], actor="mara") == 1
    assert ledger.restore_quarantine(ws, ids[:1], actor="mara") == 0
    assert [one.reason for one in ledger.list_quarantine(ws)] == ["bad_json"]
    assert ws.audit.verify().ok


def test_changes_and_suspects_keep_their_text_sealed(any_workspace: Workspace) -> None:
    ws = any_workspace
    ledger.add_changes(ws, "clean", [(example(1), Change("mojibake", "cafÃ©", "café"))])
    ledger.add_suspects(ws, "labels", [Suspect(example(1), "odd_label", {"near": "b"})])
    [change], [suspect] = ledger.list_changes(ws, example(1).id), ledger.list_suspects(ws)
    assert (change.why, suspect.why) == ("mojibake", "odd_label")
    assert ledger.open_change(ws, change, purpose="review").before == "cafÃ©"
    assert ledger.open_suspect(ws, suspect, purpose="review") == {"near": "b"}


def test_what_is_not_there_is_named_with_the_command_that_makes_it(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="metier data build"):
        ledger.get_version(workspace)
    version = save(workspace, {"train": [example(1)]})
    with pytest.raises(NotFound, match="did you mean 'train'"):
        ledger.load_split(workspace, version, "trian")
    with pytest.raises(NotFound, match="no id that begins with 'run_0'"):
        ledger.get_run(workspace, "run_0")


KILLED_WHILE_SAVING = """
import os, signal, sys
from sqlalchemy import event
from metier.core.workspace import Workspace
from tiny_records import example, save
ws = Workspace.open(sys.argv[1], store_url=sys.argv[2] or None)
left = int(sys.argv[3])
def before(connection, cursor, statement, *_):
    global left
    if statement.startswith("INSERT"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
event.listen(ws.db.engine, "before_cursor_execute", before)
save(ws, {"train": [example(n) for n in range(10)], "test": [example(99)]})
print("acknowledged", flush=True)
"""


def test_a_killed_save_leaves_the_whole_version_or_none(any_workspace: Workspace) -> None:
    ws = any_workspace
    url = ws.db.url.render_as_string(hide_password=False)
    env = os.environ | {"PYTHONPATH": str(Path(tiny_records.__file__).parent)}
    for inserts in range(20):
        command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(ws.root), url, str(inserts)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        if done.returncode == 0:
            break
        assert ledger.list_versions(ws) == []
        assert done.returncode == -9, done.stderr
    assert done.stdout == "acknowledged\n"
    assert inserts >= 5  # source, two artifacts, version, members, edges
    [version] = ledger.list_versions(ws)
    assert ledger.load_split(ws, version, "test") == [example(99)]
    assert [node.ref.kind for node in ws.lineage.trace(version.id)] == ["version", "source"]


def test_a_full_disk_while_saving_keeps_what_was_there(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = save(workspace, {"train": [example(1)]})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OutOfSpace):
            save(workspace, {"train": [example(2)]})
    assert ledger.list_versions(workspace) == [kept]
    assert len(save(workspace, {"train": [example(2)]}).counts) == 1


def test_probes_are_found_by_what_they_measured(any_workspace: Workspace) -> None:
    ws = any_workspace
    version = save(ws, {"train": [example(1)]})
    made = [
        Probe(
            new_id("probe"),
            datetime.now(UTC),
            kind,
            subject,
            version.id,
            None,
            {"expected_calibration_error": Estimate(0.1, 0.05, float("nan"), 9, 9)},
            {"why": [1, None]},
        )
        for kind, subject in (("calibration", "a"), ("calibration", "b"), ("calibration", "a"))
    ]
    assert [ledger.save_probe(ws, one) for one in made] == made
    found = ledger.latest_probe(ws, "calibration", "a")
    assert found is not None and found.id == made[2].id and found.detail == made[2].detail
    assert ledger.latest_probe(ws, "memorisation", "a") is None
    assert [one.id for one in ledger.list_probes(ws, version_id=version.id)] == [
        one.id for one in made
    ]
    traced = [node.ref.id for node in ws.lineage.trace(made[0].id, "up")]
    assert version.id in traced
