"""Quarantine: listed by reason, opened under audit, restored into every later build."""

import pytest

from data_examples import CLASSIFY, GOOD, MESSY, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.data.build import build
from metier.data.quarantine import list_rows, reasons, restore, show

SHORT = [("Hi", "money", "s1"), ("Yo", "delivery", "s2")]
CONFIG = settings_of(min_chars=5)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "data", GOOD + MESSY + SHORT)


def run(folder, workspace, config=CONFIG, objective=CLASSIFY):
    return build(config, objective, workspace, folder, Progress())


def texts(workspace, version):
    rows = [row for split in version.splits for row in ledger.load_split(workspace, version, split)]
    return {row.conversation.text for row in rows}


def row_for(workspace, reason):
    return next(row for row in list_rows(workspace) if row.reason == reason)


def test_rows_are_counted_by_step_and_reason(folder, workspace):
    run(folder, workspace)
    found = {(one.step, one.reason): one.rows for one in reasons(workspace)}
    assert found == {
        ("clean", "too_short"): 2,
        ("import", "no_prompt"): 1,
        ("exact_duplicates", "exact_duplicate"): 1,
    }
    assert reasons(workspace)[0].reason == "too_short"
    assert len(list_rows(workspace, step="clean")) == 2
    assert len(list_rows(workspace, reason="no_prompt")) == 1


def test_a_row_shows_what_it_held_and_why_and_that_is_audited(folder, workspace):
    run(folder, workspace)
    row = list_rows(workspace, reason="too_short")[0]
    content = show(workspace, row.id, actor="mara")
    assert content.example.conversation.text == "Hi"
    assert content.evidence == {"chars": 2, "min_chars": 5}
    entry = list(workspace.audit.entries())[-1]
    assert (entry.actor, entry.action) == ("mara", "sealed.open")


def test_a_restored_row_enters_the_next_build_and_every_one_after(folder, workspace):
    first = run(folder, workspace)
    row = list_rows(workspace, reason="too_short")[0]
    assert restore(workspace, [row.id], actor="mara") == 1
    assert restore(workspace, [row.id], actor="mara") == 0
    for _ in range(2):
        again = run(folder, workspace)
        assert "Hi" in texts(workspace, again.version)
        assert "Yo" not in texts(workspace, again.version)
        assert again.steps[0].restored == 1
        assert row.id not in {one.id for one in list_rows(workspace)}
    assert again.version.id != first.version.id


def test_a_restored_row_is_known_by_its_content_when_the_file_has_changed(folder, workspace):
    run(folder, workspace)
    restore(workspace, [list_rows(workspace, reason="too_short")[0].id])
    write(folder, [("A row put in front", "money", "new"), *SHORT, *GOOD, *MESSY])
    again = run(folder, workspace)
    assert "Hi" in texts(workspace, again.version)
    assert "Yo" not in texts(workspace, again.version)


def test_an_erased_row_does_not_come_back(folder, workspace):
    run(folder, workspace)
    row = next(r for r in list_rows(workspace) if show(workspace, r.id).example.group == "s1")
    restore(workspace, [row.id])
    workspace.sealed.erase_group("s1", reason="asked to")
    write(folder, [*GOOD, *MESSY])
    run(folder, workspace)
    with pytest.raises(NotFound, match="erased"):
        show(workspace, row.id)


def test_a_restored_duplicate_stays_on_the_side_of_its_twin(folder, workspace):
    run(folder, workspace)
    restore(workspace, [row_for(workspace, "exact_duplicate").id])
    again = run(folder, workspace)
    assert "exact_duplicate" not in {drop.reason for drop in again.drops}
    found = [
        name
        for name, rows in again.splits.items()
        for row in rows
        if row.conversation.text.casefold().startswith("the parcel that customer 0 sent me is late")
    ]
    assert len(found) == 2
    assert len(set(found)) == 1


def test_what_cannot_be_overruled_says_what_to_do(folder, workspace):
    objective = Objective(task="classify", labels=["delivery", "money"])
    run(folder, workspace, objective=objective)
    for reason, remedy in [
        ("no_prompt", "correct the row in its source"),
        ("unknown_label", "add it to [objective] labels"),
    ]:
        row = row_for(workspace, reason)
        with pytest.raises(InputError) as refused:
            restore(workspace, [row.id])
        assert remedy in str(refused.value)
        assert f"{row.source}:{row.locator}" in str(refused.value)
    with pytest.raises(NotFound, match="a quarantined row"):
        restore(workspace, ["quar_none"])


def test_rows_that_a_later_build_keeps_are_no_longer_listed(folder, workspace):
    run(folder, workspace)
    run(folder, workspace, settings_of(min_chars=1))
    assert "too_short" not in {one.reason for one in reasons(workspace)}
    run(folder, workspace, settings_of(min_chars=60))
    assert sum(one.rows for one in reasons(workspace) if one.reason == "too_short") > 2


def test_rows_of_a_file_as_it_was_before_are_no_longer_listed(folder, workspace):
    run(folder, workspace)
    write(folder, [*GOOD, *SHORT[:1]])
    run(folder, workspace)
    assert [(one.reason, one.rows) for one in reasons(workspace)] == [("too_short", 1)]


def test_a_bad_row_that_changes_no_version_is_in_quarantine_all_the_same(tmp_path, workspace):
    write(tmp_path, GOOD)
    first = build(settings_of(), CLASSIFY, workspace, tmp_path, Progress())
    write(tmp_path, [*GOOD, ("", "money", "late")])
    again = build(settings_of(), CLASSIFY, workspace, tmp_path, Progress())
    assert again.version.id == first.version.id
    assert [row.reason for row in list_rows(workspace)] == ["no_prompt"]
    assert ledger.get_version(workspace).card["rows"]["quarantined"] == 1
