"""`metier failures` reads stored answers only, and hands out a request for data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluate_fakes import CLASSIFY, FakeCompleter, bench_of
from failure_desk import messages
from metier.apps.cli import app
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.records import TuneRun
from metier.evaluate.bench import Contender
from metier.evaluate.compare import Comparison
from metier.evaluate.evaluate import evaluate
from metier.evaluate.failures.find import find_failures
from metier.evaluate.verdict import verdict
from metier.journey.failures import failures, failures_of, write_request
from metier.journey.report import ReportInputs, build_report
from metier.journey.session import Session, open_session

CONFIG = """
[project]
name = "desk"
[objective]
task = "classify"
[data]
sources = [{ path = "rows.csv", prompt = "text", target = "queue" }]
[evaluate]
resamples = 200
"""


def label(example: object) -> str:
    return example.target.label  # type: ignore[attr-defined, no-any-return]


DESK = [e for e in messages(240, 9, 3000) if label(e) in ("billing", "delivery")]
RIGHT = {e.conversation.last_user: label(e) for e in DESK}


def muddled(text: str) -> str:
    """Takes billing for delivery where the message says invoice."""
    return "delivery" if "invoice" in text else RIGHT[text]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two measured rungs on a made desk."""
    root = tmp_path_factory.mktemp("desk")
    (root / "metier.toml").write_text(CONFIG)
    with open_session(root / "metier.toml") as session:
        bench = bench_of(session.workspace, train=messages(60, 1), test=DESK)
        bench = replace(bench, config=session.project.evaluate)
        run = ledger.start_run(session.workspace, bench.version, "metier/tiny", {})
        done: TuneRun = ledger.finish_run(session.workspace, run.id, "done", None, {})
        evaluate(bench, Contender("keyword", FakeCompleter(lambda text: "billing", "flat")))
        evaluate(bench, Contender("tuned", FakeCompleter(muddled, "ours"), run_id=done.id))
    return root


@pytest.fixture
def session(project: Path) -> Iterator[Session]:
    with open_session(project / "metier.toml") as opened:
        yield opened


def test_the_tuned_model_is_looked_at_and_no_look_is_spent(session: Session) -> None:
    before = ledger.get_version(session.workspace).looks_used
    found = failures(session)
    assert found.rung == "tuned" and found.n == 80
    assert found.clusters and found.clusters[0].stands_out
    assert ledger.get_version(session.workspace).looks_used == before
    assert failures(session) == found, "the same answers always tell the same"


def test_another_rung_or_run_can_be_named(session: Session) -> None:
    assert failures(session, "keyword").rung == "keyword"
    run = ledger.list_runs(session.workspace)[0].id
    assert failures(session, run=run).rung == "tuned"


def test_a_rung_that_was_not_measured_names_the_nearest(session: Session) -> None:
    with pytest.raises(NotFound, match="keyword"):
        failures(session, "keywrod")
    with pytest.raises(NotFound, match="metier evaluate"):
        failures(session, split="validation")


def test_the_request_is_written_by_ending(session: Session, tmp_path: Path) -> None:
    found = failures(session)
    path = write_request(found, tmp_path / "deep" / "request.md")
    assert path.read_text().startswith("# Data for the next cycle")
    rows = json.loads(write_request(found, tmp_path / "request.json").read_text())["rows"]
    assert len(rows) == len(found.request.rows)


def test_the_command_prints_and_writes(project: Path, tmp_path: Path) -> None:
    run, out = CliRunner(), tmp_path / "request.csv"
    told = run.invoke(app, ["failures", "-p", str(project), "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "tuned: " in told.output and "confuses `billing` with `delivery`" in told.output
    assert out.read_text().startswith("action,what")
    found = run.invoke(app, ["failures", "-p", str(project), "--json"])
    document = json.loads(found.stdout)
    assert document["rung"] == "tuned" and document["clusters"][0]["share"]["n"] > 0


def test_the_report_has_a_section_on_failures(session: Session) -> None:
    bench = bench_of_latest(session)
    reports = ledger.list_evaluations(session.workspace, bench.version.id)
    now = verdict(CLASSIFY, reports, [], Comparison(bench))
    inputs = ReportInputs("desk", CLASSIFY, bench.version, reports, [], now)
    assert 'id="failures"' not in build_report(session.workspace, inputs)
    found = failures_of(session, now, reports)
    assert found == find_failures(bench, next(r for r in reports if r.rung == "tuned"))
    page = build_report(session.workspace, replace(inputs, failures=found))
    assert 'id="failures"' in page and 'href="#failures"' in page
    assert "confuses `billing` with `delivery`" in page and "Data for the next cycle" in page
    assert "never train on test rows" in page


def test_nothing_measured_has_no_failures(session: Session) -> None:
    bench = bench_of_latest(session)
    nothing = verdict(CLASSIFY, [], [], Comparison(bench))
    assert failures_of(session, nothing, []) is None


def bench_of_latest(session: Session):  # type: ignore[no-untyped-def]
    from metier.journey.session import make_bench

    return make_bench(session)
