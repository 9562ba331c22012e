"""Panel to pairs to version to a tuned model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.records import LOSS_WEIGHT, DataVersion
from metier.core.types import CompletionTarget, PreferenceTarget
from metier.journey.preferred import IN_TEST, LIKE_TEST, VERDICT, Wanted
from metier.journey.preferring import Start, freeze, preview, start_tune, tuning_session
from metier.journey.session import Session
from metier.review.pairs import Terms
from panel_cases import answered_panel, preference_session, rate_panel
from tiny_records import report

TERMS = Terms(severity=False)


def test_a_panel_becomes_pairs_a_version_and_a_tuned_model(tmp_path: Path) -> None:
    session = preference_session(tmp_path)
    answered_panel(session, "spring", "train", 12)
    wanted = Wanted(("spring",), terms=TERMS)
    seen = preview(session, wanted)
    assert (seen.preferences, seen.answers, seen.by) == (12, 24, {"choices": 12})
    made = freeze(session, wanted, "mara").version
    assert made is not None
    rows = ledger.load_split(session.workspace, made, "train")
    assert {type(one.target) for one in rows} == {PreferenceTarget}
    assert all(float(one.slices[LOSS_WEIGHT]) == 1.0 for one in rows)
    job = start_tune(session, made.id, Start("dpo", lr=1e-3, epochs=1))
    assert job.name == "tune"
    assert run_tune(session, job) == "done"


def run_tune(session, job) -> str:  # type: ignore[no-untyped-def]
    """Run the queued job as a worker does, on a tiny model."""
    from metier.journey.handlers import Seat, run_worker

    run_worker(Seat(session.workspace, session.root, True), once=True)
    (run,) = ledger.list_runs(session.workspace)
    assert run.summary["pairs"] >= 10
    return run.state


def test_lineage_leads_from_a_pair_to_every_answer(tmp_path: Path) -> None:
    session = preference_session(tmp_path)
    given = answered_panel(session, "spring", "train", 4)
    made = freeze(session, Wanted(("spring",), terms=TERMS), "mara").version
    assert made is not None
    row = ledger.load_split(session.workspace, made, "train")[0]
    reached = {node.ref.id for node in session.workspace.lineage.trace(row.id)}
    assert len(reached & set(given)) == 2
    assert row.provenance.parent in reached
    nodes = session.workspace.lineage.trace(made.id)
    assert {"spring"} <= {node.ref.id for node in nodes}
    assert "preferences.freeze" in [one.action for one in session.workspace.audit.entries()]


def test_the_version_keeps_the_test_split_and_is_not_the_latest(tmp_path: Path) -> None:
    session = preference_session(tmp_path)
    ws = session.workspace
    before = ledger.get_version(ws)
    answered_panel(session, "spring", "train", 4)
    made = freeze(session, Wanted(("spring",), terms=TERMS), "mara").version
    assert made is not None
    assert made.splits["test"] == before.splits["test"]
    assert ledger.get_version(ws).id == before.id
    assert made.card["preferences"]["left_out"] == {}


def test_test_items_are_refused_unless_asked_for(tmp_path: Path) -> None:
    session = preference_session(tmp_path)
    answered_panel(session, "spring", "test", 6)
    wanted = Wanted(("spring",), terms=TERMS)
    assert preview(session, wanted).left_out == {IN_TEST: 6}
    with pytest.raises(InputError, match="preferences to freeze"):
        freeze(session, wanted, "mara")
    allowed = replace(wanted, allow_test=True)
    made = freeze(session, allowed, "mara").version
    assert made is not None
    trained = {one.provenance.parent for one in ledger.load_split(session.workspace, made, "train")}
    tested = {one.id for one in ledger.load_split(session.workspace, made, "test")}
    assert not trained & tested
    assert len(tested) == 2
    for fingerprint in ("f1", "f2"):
        look(session, made, fingerprint)
    (base,) = [one for one in ledger.list_versions(session.workspace) if one.id != made.id]
    assert base.looks_used == 2, "what is left of a test set has what is left of its looks"


def look(session: Session, version: DataVersion, fingerprint: str) -> None:
    run = ledger.start_run(session.workspace, version, "metier/tiny", {})
    made = report(version.id, rung="tuned", run_id=run.id, fingerprint=fingerprint)
    ledger.save_evaluation(session.workspace, made, [])


def test_a_prompt_that_a_test_row_has_is_left_out(tmp_path: Path) -> None:
    session = preference_session(tmp_path, twins=2)
    answered_panel(session, "spring", "train", 12)
    assert preview(session, Wanted(("spring",), terms=TERMS)).left_out == {LIKE_TEST: 2}


def test_ratings_become_wanted_and_unwanted_replies(tmp_path: Path) -> None:
    session = preference_session(tmp_path)
    rate_panel(session, "rated", 6)
    made = freeze(session, Wanted(("rated",), "kto", TERMS), "mara")
    assert made.version is not None
    rows = ledger.load_split(session.workspace, made.version, "train")
    assert {type(one.target) for one in rows} == {CompletionTarget}
    assert {one.slices[VERDICT] for one in rows} == {"yes", "no"}
    config = tuning_session(session, Start("kto")).project.tune.algorithm
    assert (config.type, config.verdict) == ("kto", VERDICT)  # type: ignore[union-attr]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    session = preference_session(tmp_path)
    answered_panel(session, "spring", "train", 4)
    before = len(ledger.list_versions(session.workspace))
    found = freeze(session, Wanted(("spring",), terms=TERMS), "mara", dry_run=True)
    assert found.version is None
    assert len(ledger.list_versions(session.workspace)) == before


def test_a_task_of_labels_is_refused(tmp_path: Path) -> None:
    session = preference_session(tmp_path, task='"classify"\nlabels = ["a", "b"]')
    answered_panel(session, "spring", "train", 4)
    with pytest.raises(InputError, match="answered in text"):
        freeze(session, Wanted(("spring",), terms=TERMS), "mara")


def test_ratings_made_elsewhere_become_preferences(tmp_path: Path) -> None:
    from metier.journey.panel_ratings import import_ratings
    from metier.review.panel import Panel
    from panel_cases import ACCURACY, CANDIDATES, make

    session = preference_session(tmp_path)
    make(session, "old", Panel("rate", CANDIDATES, (ACCURACY,), repeats=0.0), "train", 2)
    lines = ["item,candidate,rater,dimension,score"]
    for number in range(2):
        for rater in ("anna", "ben"):
            lines += [f"ex_{number:024x},{name},{rater},accuracy,{score}"
                      for name, score in (("tuned", 5), ("zero shot", 2))]  # fmt: skip
    lines += ["ex_x,tuned,anna,accuracy,4", f"ex_{0:024x},tuned,cleo,accuracy,high"]
    file = tmp_path / "ratings.csv"
    file.write_text("\n".join(lines) + "\n")
    found = import_ratings(session.workspace, "old", file, "mara")
    assert (found.answers, found.new, found.raters) == (9, 8, ("anna", "ben"))
    assert [place.rpartition(":")[2] for place, _ in found.refused] == ["11", "10"]
    assert preview(session, Wanted(("old",), terms=TERMS)).preferences == 2
