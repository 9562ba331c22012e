"""Incidents: who had the row, and that it stays out."""

from datetime import UTC, datetime

import pytest

from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.steps import Change
from metier.privacy.incidents import (
    close_incident,
    left_out,
    list_incidents,
    open_incident,
    report_identifier,
)
from tiny_records import example, save


def test_what_had_the_row_is_listed(any_workspace):
    ws = any_workspace
    row, other = example(1, "ann"), example(2)
    ledger.add_changes(ws, "deidentify", [(row, Change("email", "a@b.org", "[EMAIL]"))])
    version = save(ws, {"train": [row], "test": [other]})
    run = ledger.start_run(ws, version.id, "base", {})
    (noted,) = ledger.list_changes(ws)
    ledger.open_change(ws, noted, actor="tom", purpose="metier data changes")
    ws.audit.append("lena", "data.export", version.id, {"split": "train"})
    ws.audit.append("lena", "data.export", "ver_other", {"split": "train"})
    incident = report_identifier(ws, row.id, "a surname, Zyxwvut", actor="mara")
    had = incident.spread
    assert (had.versions, had.runs) == ((version.id,), (run.id,))
    assert [(one.actor, one.action) for one in had.exports] == [("lena", "data.export")]
    assert [(one.actor, one.action) for one in had.viewers] == [("tom", "sealed.open")]
    assert (incident.opened_by, incident.resolution) == ("mara", None)
    assert open_incident(ws, incident.id, actor="mara") == "a surname, Zyxwvut"
    assert list_incidents(ws) == [incident]
    (left,) = ledger.list_quarantine(ws)
    assert (left.example_id, left.reason) == (row.id, "reported_identifier")
    assert "Zyxwvut" not in str(ws.audit.entries())


def test_a_run_that_only_measured_on_the_row_has_not_learned_it(workspace):
    row = example(1)
    version = save(workspace, {"train": [example(2)], "test": [row]})
    ledger.start_run(workspace, version.id, "base", {})
    incident = report_identifier(workspace, row.id, "a name")
    assert (incident.spread.versions, incident.spread.runs) == ((version.id,), ())


def test_a_closed_incident_stays_on_record(any_workspace):
    row = example(1)
    save(any_workspace, {"train": [row]})
    first = report_identifier(any_workspace, row.id, "a name")
    second = report_identifier(any_workspace, row.id, "the same name")
    assert len(left_out(any_workspace)) == 2
    closed = close_incident(any_workspace, first.id, "fixed", actor="mara")
    assert (closed.resolution, closed.closed_by) == ("fixed", "mara")
    assert closed.closed_at <= datetime.now(UTC)
    close_incident(any_workspace, second.id, "left_out")
    assert [one.id for one in left_out(any_workspace)] == [second.id]
    assert list_incidents(any_workspace, closed=False) == []
    with pytest.raises(InputError, match="an open incident"):
        close_incident(any_workspace, first.id, "fixed")
    with pytest.raises(InputError, match="fixed or left_out"):
        close_incident(any_workspace, first.id, "done")


def test_a_quarantined_row_can_be_reported_and_other_things_cannot(workspace):
    row = example(1)
    from metier.core.steps import Drop

    (key,) = ledger.add_quarantine(workspace, "clean", [Drop(row, "too_long")])
    assert report_identifier(workspace, key, "a name").example_id == row.id
    version = save(workspace, {"train": [example(2)], "test": [example(3)]})
    with pytest.raises(InputError, match="a version"):
        report_identifier(workspace, version.id, "a name")
    with pytest.raises(InputError, match="what was met"):
        report_identifier(workspace, row.id, " ")
    with pytest.raises(NotFound):
        report_identifier(workspace, "ex_unknown", "a name")
