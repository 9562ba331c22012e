import pytest

from data_examples import CLASSIFY, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.quality.config import QualityConfig
from metier.data.quality.decide import decisions_of
from metier.data.quality.desk import Asked, attend
from metier.data.quality.report import KIND, keep, measure, rows_of
from metier.data.quality.suspects import (
    count_kinds,
    decide,
    open_suspects,
    send_to_queue,
    show_suspect,
    undo,
)
from metier.data.quarantine import list_rows
from metier.queue import list_items
from quality_examples import rows


@pytest.fixture
def folder(tmp_path):
    examples, _ = rows(120, 8)
    return write(
        tmp_path / "data",
        [(one.conversation.text, one.target.label, one.group) for one in examples],
    )


def built(ws: Workspace, folder):
    config = settings_of(duplicates={"exact": True, "near": "off"}, near_leakage=1.0)
    return build(config, CLASSIFY, ws, folder, Progress()).version


def looked(ws, folder):
    version = built(ws, folder)
    found = measure(rows_of(ws, version), CLASSIFY, QualityConfig(), Progress())
    return version, found, keep(ws, version, found)


def labels_of(ws, version):
    splits = [ledger.load_split(ws, version, name) for name in version.splits]
    return {row.id: row.target.label for split in splits for row in split}


def test_the_report_is_stored_without_a_text(any_workspace, folder):
    version, found, probe = looked(any_workspace, folder)
    assert found.counts["label_error"] >= 3
    assert ledger.latest_probe(any_workspace, KIND, version.id) == probe
    assert "out_of_fold_agreement" in probe.metrics
    assert "hedge" not in str(probe.detail)
    suspects = open_suspects(any_workspace)
    assert count_kinds(suspects) == found.counts
    assert {row.split for row in suspects} <= {"train", "validation"}


def test_a_row_is_shown_with_its_evidence_and_audited(workspace, folder):
    looked(workspace, folder)
    row = open_suspects(workspace, "label_error")[0]
    found = show_suspect(workspace, row.ids[0])
    assert found.example.id == row.example_id
    assert found.evidence["label_error"]["given"] == found.words
    assert workspace.audit.entries()[-1].action == "sealed.open"
    with pytest.raises(NotFound, match="fits 0 rows"):
        show_suspect(workspace, "nothing")


def test_decisions_are_carried_out_by_the_next_build(any_workspace, folder):
    ws = any_workspace
    before, _, _ = looked(ws, folder)
    one, two, three = open_suspects(ws, "label_error")[:3]
    decide(ws, CLASSIFY, [one.example_id], "drop")
    decide(ws, CLASSIFY, [two.ids[0]], "relabel", "travel")
    decide(ws, CLASSIFY, [three.example_id], "accept")
    after = built(ws, folder)
    labels = labels_of(ws, after)
    assert one.example_id not in labels
    assert labels[two.example_id] == "travel"
    assert labels[three.example_id] == labels_of(ws, before)[three.example_id]
    (dropped,) = [row for row in list_rows(ws) if row.step == "decisions"]
    assert (dropped.example_id, dropped.reason) == (one.example_id, "dropped_by_decision")
    changes = [c for c in ledger.list_changes(ws, two.example_id) if c.why == "relabel"]
    change = ledger.open_change(ws, changes[0], purpose="test")
    assert change.after == "travel" != change.before


def test_what_was_decided_does_not_come_back(workspace, folder):
    looked(workspace, folder)
    rows_before = open_suspects(workspace, "label_error")
    decide(workspace, CLASSIFY, [rows_before[0].example_id], "accept")
    looked(workspace, folder)
    again = {row.example_id for row in open_suspects(workspace, "label_error")}
    assert again == {row.example_id for row in rows_before[1:]}


def test_a_second_run_takes_the_place_of_the_first(workspace, folder):
    looked(workspace, folder)
    first = open_suspects(workspace)
    looked(workspace, folder)
    second = open_suspects(workspace)
    assert [row.example_id for row in first] == [row.example_id for row in second]
    assert [row.reasons for row in first] == [row.reasons for row in second]


def test_a_decision_is_taken_back(workspace, folder):
    looked(workspace, folder)
    row = open_suspects(workspace, "label_error")[0]
    decide(workspace, CLASSIFY, [row.example_id], "drop")
    assert row.example_id not in {one.example_id for one in open_suspects(workspace)}
    assert undo(workspace, row.example_id[:12]) == row.example_id
    assert row.example_id in {one.example_id for one in open_suspects(workspace)}
    assert decisions_of(workspace).by_id == {}
    with pytest.raises(NotFound, match="decided on"):
        undo(workspace, row.example_id)


def test_a_decision_finds_its_row_in_a_changed_file(workspace, folder):
    looked(workspace, folder)
    row = open_suspects(workspace, "label_error")[0]
    text = show_suspect(workspace, row.example_id).example.conversation.text
    decide(workspace, CLASSIFY, [row.example_id], "drop")
    lines = (folder / "rows.csv").read_text().splitlines(keepends=True)
    (folder / "rows.csv").write_text("".join([lines[0], *reversed(lines[1:])]))
    version = built(workspace, folder)
    splits = [ledger.load_split(workspace, version, name) for name in version.splits]
    assert text not in {one.conversation.text for split in splits for one in split}


def test_accepting_a_relabelled_row_keeps_its_new_label(workspace, folder):
    looked(workspace, folder)
    row = open_suspects(workspace, "label_error")[0]
    decide(workspace, CLASSIFY, [row.example_id], "relabel", "travel")
    undone = ledger.list_suspects(workspace, closed=True)
    ids = [one.id for one in undone if one.example_id == row.example_id]
    ledger.close_suspects(workspace, ids, reopen=True)
    decide(workspace, CLASSIFY, [row.example_id], "accept")
    assert decisions_of(workspace).by_id[row.example_id].verdict == "relabel"


def test_only_known_labels_are_taken(workspace, folder):
    looked(workspace, folder)
    row = open_suspects(workspace, "label_error")[0]
    with pytest.raises(InputError, match="one of the labels"):
        decide(workspace, CLASSIFY, [row.example_id], "relabel", "gardening")
    assert decisions_of(workspace).by_id == {}


def test_the_queue_gets_the_most_suspicious_first(workspace, folder):
    looked(workspace, folder)
    waiting = open_suspects(workspace, "label_error")
    assert send_to_queue(workspace, "label_error") == len(waiting)
    items = list_items(workspace, "suspects")
    assert [item.subject_id for item in items] == [row.example_id for row in waiting]
    assert all("label_error" in item.reasons for item in items)


def test_the_desk_does_one_thing_at_a_time(workspace, folder):
    looked(workspace, folder)
    row = open_suspects(workspace)[0]
    assert attend(workspace, CLASSIFY, Asked()).rows == tuple(open_suspects(workspace))
    assert attend(workspace, CLASSIFY, Asked(show=row.example_id)).doubted is not None
    done = attend(workspace, CLASSIFY, Asked(drop=(row.example_id,)))
    assert "drop" in done.words
    assert list(attend(workspace, CLASSIFY, Asked(decided=True)).decided) == [row.example_id]
    assert "taken back" in attend(workspace, CLASSIFY, Asked(undo=row.example_id)).words
    assert "queue" in attend(workspace, CLASSIFY, Asked(queue=True)).words
    with pytest.raises(InputError, match="at a time"):
        attend(workspace, CLASSIFY, Asked(queue=True, decided=True))


def test_a_workspace_without_a_version_has_no_suspects(workspace):
    assert open_suspects(workspace) == []
