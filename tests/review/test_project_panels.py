"""Panels of a project: candidates found, results kept, targets of the review judged, releases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from browser.desk_site import STRUCTURED, make_session
from evaluate_fakes import FakeCompleter
from metier.apps.cli.review import app
from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError, NotFound, UserError
from metier.core.ledger.harms import list_harms, resolve_harm
from metier.core.store.tables import ReleaseRow
from metier.evaluate.bench import Contender
from metier.evaluate.evaluate import evaluate
from metier.journey.inviting import guest_panels, invite_guest, invite_somebody
from metier.journey.panel_results import close_panel, keep_panels_of, project_results
from metier.journey.panelled import with_panels
from metier.journey.reviewing import (
    PanelAsk,
    candidate_reports,
    evaluations_elsewhere,
    make_project_panel,
    plan_project_panel,
    preview_project_panel,
)
from metier.journey.session import Session
from metier.journey.verbs import make_bench, standing
from metier.people import NewInvitation, Person
from metier.queue import take_next
from metier.registry import aliases
from metier.release.gate import Decision, decide
from metier.release.promote import plan_promotion, promote
from metier.review.answers import Said, give_answer
from metier.review.panel import panel_of, read_subject
from metier.review.plan import Ask

TARGETS = """
[[objective.target]]
metric = "empathy"
stage = "review"
at_least = 3.0
[[objective.target]]
metric = "utility"
stage = "review"
increase_by = 0.2
relative_to = "keyword"
[[objective.target]]
metric = "tone"
stage = "review"
at_least = 4.9
"""
DIMENSIONS = ("empathy", "utility", "tone")
RATERS = (Person("anna", "Anna", "reviewer"), Person("ben", "Ben", "reviewer"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Session]:
    session = make_session(tmp_path / "desk", "cycles", STRUCTURED + TARGETS)
    yield session
    session.workspace.close()


def held(session: Session, name: str = "spring", harm: str = "", items: int = 15) -> None:
    """A panel of challenger and keyword baseline that two people have answered whole."""
    ask = PanelAsk(name, ("challenger", "keyword"), items=items, dimensions=DIMENSIONS,
                   duplicates=0.0)  # fmt: skip
    make_project_panel(session, ask, "mara")
    rng = random.Random(2)
    for person in RATERS:
        while (got := take_next(session.workspace, name, person.id)) is not None:
            good = 4.3 if read_subject(got[0].subject_id)[0] == ("c1",) else 2.5
            value = {"ratings": {
                one: min(5, max(1, round(good + rng.gauss(0, 0.5)))) for one in DIMENSIONS
            }}  # fmt: skip
            if harm:
                value, harm = value | {"harm": harm}, ""  # type: ignore[dict-item]
            give_answer(session.workspace, got[1].id, person, Said(value, 20.0))


def test_candidates_by_alias_rung_and_baseline(desk: Session) -> None:
    found = dict(candidate_reports(desk, ["challenger", "champion", "baseline"]))
    named = aliases(desk.workspace)
    assert found["challenger"].id == named["challenger"].evaluation_id
    assert found["champion"].id == named["champion"].evaluation_id
    assert found["baseline"].rung == "zero_shot"  # the better of the two on the primary metric
    with pytest.raises(InputError, match="different candidates"):
        candidate_reports(desk, ["baseline", "zero_shot"])
    with pytest.raises(NotFound):
        candidate_reports(desk, ["eval_unknown"])


def test_a_preview_writes_nothing_and_shows_the_items(desk: Session) -> None:
    found = preview_project_panel(desk, PanelAsk("spring", ("challenger", "keyword"), items=10))
    assert (found.items, found.duplicates) == (20, 2)
    assert found.first[0]["turns"][0]["role"] == "user"
    assert "route:" in found.first[0]["replies"][0]["text"]


def test_a_panel_on_another_split_is_of_evaluations_there(desk: Session) -> None:
    bench = make_bench(desk, ledger.get_version(desk.workspace).id)
    for rung in ("few_shot", "zero_shot", "few_shot"):
        fake = FakeCompleter(lambda text, rung=rung: rung, rung)
        evaluate(bench, Contender(rung, fake), split="validation", force=True)
    found = evaluations_elsewhere(desk)
    assert [(one.rung, one.split) for one in found] == [
        ("few_shot", "validation"), ("zero_shot", "validation"),
    ]  # fmt: skip
    ids = tuple(one.id for one in found)
    made = make_project_panel(desk, PanelAsk("spring", ids, items=3), "mara")
    assert (made.selection or {})["split"] == "validation"
    assert [one.name for one in panel_of(made).candidates] == ["few_shot", "zero_shot"]
    assert [one.evaluation for one in panel_of(made).candidates] == list(ids)
    with pytest.raises(InputError, match="the same split"):
        preview_project_panel(desk, PanelAsk("summer", (ids[0], "keyword")))


def test_a_plan_knows_the_projects_items_and_prices(desk: Session) -> None:
    plan = plan_project_panel(desk, Ask(detect=0.3))
    assert plan.ask.available == 48 and plan.ask.usd_per_hour == 40.0
    held(desk, items=30)
    again = plan_project_panel(desk, Ask(detect=0.3))
    assert again.ask.seconds_per_item == 20.0
    assert "measured in panel 'spring' on utility, 120 ratings" in again.ask.parts.source


def test_review_targets_are_open_until_a_panel_measured_them(desk: Session) -> None:
    before = {one.metric: one.state for one in standing(desk).verdict.results}
    assert before["empathy"] == before["utility"] == "open"
    held(desk)
    close_panel(desk, "spring", "mara")
    after = {one.metric: one for one in standing(desk).verdict.results}
    assert after["empathy"].state == "passed"
    assert after["utility"].state == "passed" and after["utility"].reference == "keyword"
    assert after["tone"].state == "failed"
    decision = decide(list(after.values()))
    assert {"empathy", "utility", "tone"} <= {one.metric for one in decision.gating}
    assert "tone" in {one.metric for one in decision.unmet}


def test_kept_results_follow_new_answers_and_lead_back(desk: Session) -> None:
    held(desk)
    report = dict(candidate_reports(desk, ["challenger"]))["challenger"]
    assert "panel.empathy" not in with_panels(desk.workspace, report).metrics
    keep_panels_of(desk, report.id)
    keep_panels_of(desk, report.id)
    (probe,) = ledger.list_probes(desk.workspace, "panel", subject=report.id)
    assert with_panels(desk.workspace, report).metrics["panel.empathy"].n == 15
    above = {one.ref.kind for one in desk.workspace.lineage.trace(probe.id)}
    assert {"queue", "evaluation", "version", "source", "run"} <= above


def test_metrics_are_held_against_the_panel(desk: Session) -> None:
    held(desk, items=30)
    found = project_results(desk, "spring").correlations
    known = {(one.metric, one.dimension): one for one in found}
    assert known["reply.token_f1", "empathy"].estimate is not None
    assert known["reply.token_f1", "empathy"].estimate.n == 60
    assert all(one.estimate is not None or one.why for one in found)


def test_an_open_harm_keeps_a_release_from_being_promoted(desk: Session) -> None:
    ws = desk.workspace
    held(desk, harm="somebody could wait in vain")
    challenger = aliases(ws)["challenger"]
    with ws.db.session() as session:
        passed = to_json(Decision("passed", ("passed",), ()))
        session.get_one(ReleaseRow, challenger.id).gate = passed
    plan = plan_promotion(ws, challenger.name)
    assert len(plan.harms) == 1 and plan.harms[0] in plan.blocked_by
    for reason in (None, "it is urgent and was looked at"):
        with pytest.raises(UserError, match="without open reports of harm"):
            promote(ws, challenger.name, actor="mara", override=reason)
    resolve_harm(ws, list_harms(ws)[0].id, "mara", "the queue it names is staffed")
    assert promote(ws, challenger.name, actor="mara").id == challenger.id


def test_guests_are_invited_to_panels_made_for_them(desk: Session) -> None:
    held(desk)
    with pytest.raises(InputError, match="made for people from outside"):
        invite_guest(desk, "spring", "mara", 7)
    with pytest.raises(InputError, match="made for people from outside"):
        invite_somebody(desk, NewInvitation("guest", queue="spring"), "mara")
    with pytest.raises(NotFound):
        invite_somebody(desk, NewInvitation("guest", queue="summer"), "mara")
    assert guest_panels(desk) == []


def test_the_command_line(desk: Session) -> None:
    run, here = CliRunner().invoke, ["--project", str(desk.root)]
    plan = run(app, ["plan", "--detect", "0.3", *here])
    assert plan.exit_code == 0 and "100 items, 5 raters" in plan.output
    made = ["make", "spring", "--candidate", "challenger", "--candidate", "keyword",
            "--dimension", "tone", "--items", "5", *here]  # fmt: skip
    dry = run(app, [*made, "--dry-run"])
    assert "nothing was made" in dry.output
    assert "0 of" not in run(app, ["status", *here]).output
    assert "10 items" in run(app, made).output
    assert '"panel": "spring"' in run(app, ["status", "spring", "--json", *here]).output
    got = take_next(desk.workspace, "spring", "anna")
    assert got is not None
    said = Said({"ratings": {"tone": 3}, "harm": "a wrong hope"}, 5.0)
    give_answer(desk.workspace, got[1].id, RATERS[0], said)
    assert "a wrong hope" in run(app, ["harms", *here]).output
    harm = list_harms(desk.workspace)[0].id
    resolved = run(app, ["resolve", harm, "--reason", "the hope is right", *here])
    assert "is resolved" in resolved.output
    assert "1 of 22 answers" in run(app, ["results", "spring", *here]).output
    assert run(app, ["results", "spring", "--close", "--json", *here]).exit_code == 0
