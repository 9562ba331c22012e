"""A worker that shares only the database and the artifact store completes a tune."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE, build, project, run, write_rows
from metier.config import load_project
from metier.core import ledger
from metier.core.workspace import Workspace
from metier.journey.resources import resources_for

TUNE = (
    '[tune]\nmethod = { type = "lora", r = 4, alpha = 8 }\nlr = 4e-3\nepochs = 1\n'
    "batch_tokens = 512\n"
)


def test_a_worker_elsewhere_completes_a_tune(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    write_rows(here, 60)
    artifacts = str(tmp_path / "artifacts")
    stores = f"store = {json.dumps(database_url)}\nartifacts = {json.dumps(artifacts)}\n"
    project(here, stores + HEAD + OBJECTIVE + DATA + TUNE)
    assert build(capsys, here)[0] == 0
    code, out, err = run(capsys, "tune", "--queue", "--project", str(here), "--json")
    assert code == 0, err
    job = json.loads(out)
    assert job["resources"]["memory_bytes"] > 1e6

    key = (here / ".metier" / "key").read_text().strip()
    command = [sys.executable, "-m", "metier", "worker", "--once", "--store", database_url]
    done = subprocess.run(
        [*command, "--artifacts", artifacts, "--project", str(there)],
        env={**os.environ, "METIER_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Workspace.open(here, store_url=database_url, artifacts_url=artifacts) as workspace:
        ended = workspace.jobs.get(job["id"])
        assert (ended.state, ended.error) == ("done", None)
        run_made = ledger.get_run(workspace)
        assert run_made.id == (ended.result or {})["run"]
        assert workspace.artifacts.verify(run_made.adapter or "")
    assert not (there / "rows.jsonl").exists()


def test_a_worker_without_the_key_is_told_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METIER_KEY", raising=False)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    with Workspace.create(here, store_url=url):
        pass
    words = ["worker", "--once", "--store", url, "--artifacts", "x", "--project", str(there)]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "key" in err


def test_a_store_without_artifacts_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "worker", "--store", "sqlite:///x.db", "--project", str(tmp_path))
    assert code == 2
    assert "--artifacts" in err


def test_a_tune_that_does_not_fit_waits_and_says_for_what(tmp_path: Path) -> None:
    project(tmp_path, HEAD + OBJECTIVE + DATA + TUNE)
    needs = resources_for(load_project(tmp_path / "metier.toml"), "tune")
    from metier.core.jobs import JobQueue, Resources

    with Workspace.create(tmp_path) as workspace:
        small = JobQueue(workspace.db, capacity=Resources(memory_bytes=1_000_000))
        job = small.enqueue("tune", {}, needs)
        assert "bytes of memory" in str(small.waits_for(job.id))
        assert small.work_once({"tune": "nowhere:nothing"}) is None
        assert small.get(job.id).state == "queued"
