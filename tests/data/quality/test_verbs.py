"""Quality and ablation as a user runs them: a project on disk, one command after the other."""

import json
import sys

import pytest

from data_examples import write
from metier.apps.cli import main
from metier.core import ledger
from metier.core.errors import InputError
from metier.journey.ablation import BUILT, CLEANED, DIRTY, HALF, ablate
from metier.journey.quality import measure_quality
from metier.journey.session import open_session
from metier.journey.verbs import build_data
from quality_examples import rows

PROJECT = """
[project]
name = "sample"
base = "metier/tiny"

[objective]
task = "classify"

[data]
near_leakage = 1.0
validation = {validation}
sources = [{{ path = "rows.csv", prompt = "text", target = "label", group = "customer" }}]

[data.duplicates]
near = "off"

[evaluate]
resamples = 100
"""


@pytest.fixture
def project(tmp_path):
    def made(validation=0.2):
        examples, _ = rows(150, 10)
        lines = [(one.conversation.text, one.target.label, one.group) for one in examples]
        lines += [(text, "travel", group) for text, _, group in lines[:6]]
        folder = write(tmp_path, lines)
        (folder / "metier.toml").write_text(PROJECT.format(validation=validation))
        return folder / "metier.toml"

    return made


def told(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["metier", "data", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    return capsys.readouterr().out


def test_a_dry_run_stores_nothing(project):
    with open_session(project()) as session:
        version = build_data(session).version
        result = measure_quality(session, dry_run=True)
        assert result.probe is None
        assert result.found.counts["label_error"]
        assert ledger.list_probes(session.workspace, version_id=version.id) == []
        step = {one.step for one in ledger.list_suspects(session.workspace)}
        assert "quality" not in step


def test_the_ablation_measures_four_sets_of_rows_on_the_same_validation_rows(project):
    with open_session(project()) as session:
        version = build_data(session).version
        found = ablate(session)
        arms = {arm.name: arm for arm in found.arms}
        assert list(arms) == [DIRTY, BUILT, CLEANED, HALF]
        assert arms[DIRTY].rows >= arms[BUILT].rows > arms[CLEANED].rows > arms[HALF].rows
        assert {arm.estimate.n for arm in found.arms} == {version.counts["validation"]}
        assert found.differences[f"{HALF} - {DIRTY}"].n == version.counts["validation"]
        probe = ledger.latest_probe(session.workspace, "ablation", "tfidf")
        assert probe.metrics["clean_half_minus_dirty_whole"].n == version.counts["validation"]
        assert ledger.get_version(session.workspace).looks_used == 0


def test_an_ablation_needs_validation_rows(project):
    with open_session(project(0)) as session:
        build_data(session)
        with pytest.raises(InputError, match="validation"):
            ablate(session)


def test_the_commands(project, capsys, monkeypatch):
    where = ("--project", str(project().parent))
    told(capsys, monkeypatch, "build", *where)
    assert "no row is under suspicion" not in told(capsys, monkeypatch, "suspects", *where)
    assert "metier data suspects" in told(capsys, monkeypatch, "quality", *where)
    found = json.loads(told(capsys, monkeypatch, "quality", *where, "--dry-run", "--json"))
    assert found["probe"] is None
    assert found["suspects"]["label_error"] > 0
    assert "label_error" in told(capsys, monkeypatch, "suspects", *where)
    listed = json.loads(
        told(capsys, monkeypatch, "suspects", *where, "--kind", "label_error", "--json")
    )
    first = listed["rows"][0]["example_id"]
    assert first in told(capsys, monkeypatch, "suspects", *where, "--kind", "label_error")
    assert "self_confidence" in told(capsys, monkeypatch, "suspects", *where, "--show", first)
    assert "1 row(s): relabel" in told(
        capsys, monkeypatch, "suspects", *where, "--relabel", first, "travel"
    )
    assert first in told(capsys, monkeypatch, "suspects", *where, "--decided")
    assert "taken back" in told(capsys, monkeypatch, "suspects", *where, "--undo", first)
    assert "clean half - dirty whole" in told(capsys, monkeypatch, "ablate", *where)
