"""A run in MLflow: series and settings, found again when resumed; nothing leaves without leave."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import OBJECTIVE, settings, version

from metier.core import ledger
from metier.core.errors import ConfigError, EgressRefused
from metier.core.records import MetricPoint, TuneRun
from metier.core.workspace import Workspace
from metier.privacy.config import EgressEntry, PrivacyConfig
from metier.privacy.egress import Egress
from metier.tune.loop import tracking
from metier.tune.run import tune
from tiny_models import tiny_base


@pytest.fixture
def mlflow() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("mlflow", reason="the extra mlflow is not installed")


def start(ws: Workspace) -> TuneRun:
    return ledger.start_run(ws, version(ws), "random/llama", {"lr": 0.1, "system": "private"})


def test_a_run_goes_to_mlflow_and_is_found_again(
    workspace: Workspace, tmp_path: Path, mlflow: Any
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    config = settings(mlflow=uri)
    run = tune(config, version(workspace), workspace, tiny_base(), OBJECTIVE, system="Be brief.")
    client = mlflow.MlflowClient(tracking_uri=uri)
    where = client.get_experiment_by_name("metier").experiment_id
    (found,) = client.search_runs([where])
    assert found.data.tags["metier.run"] == run.id
    assert found.info.status == "FINISHED"
    assert found.data.params["method.r"] == "4"
    assert "Be brief." not in str(found.data.params)
    sent = client.get_metric_history(found.info.run_id, "train_loss")
    stored = [p for p in ledger.metric_points(workspace, run.id) if p.name == "train_loss"]
    assert sorted((m.step, m.value) for m in sent) == [(p.step, p.value) for p in stored]
    assert found.data.metrics["summary/validation_loss"] == run.summary["validation_loss"]

    again = tracking.Tracker(uri, run, None, print)
    again([MetricPoint(99, "train_loss", 0.5), MetricPoint(99, "grad_norm", float("nan"))])
    again.end("interrupted", {})
    (same,) = client.search_runs([where])
    assert same.info.run_id == found.info.run_id
    assert same.info.status == "KILLED"


def test_a_server_elsewhere_needs_leave(workspace: Workspace, mlflow: Any) -> None:
    run = start(workspace)
    with pytest.raises(ConfigError, match="egress"):
        tracking.Tracker("https://track.example.com", run, None, print)
    with pytest.raises(EgressRefused, match="mlflow"):
        tracking.Tracker("https://track.example.com", run, Egress(PrivacyConfig()), print)


def test_a_server_that_does_not_answer_stops_nothing_and_is_said_once(
    workspace: Workspace, mlflow: Any, tmp_path: Path
) -> None:
    notes: list[str] = []
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = tracking.Tracker(uri, start(workspace), None, notes.append)

    class Gone:
        def log_batch(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("no route to host")

    tracker._client, there = Gone(), tracker._client
    tracker([MetricPoint(1, "train_loss", 2.0)])
    tracker._send()
    tracker._send()
    assert len(notes) == 1 and "no route to host" in notes[0]
    tracker._client = there
    tracker.end("done", {"steps": 1, "layout": "segments"})
    assert len(notes) == 1


def test_a_check_of_every_message_to_an_allowed_server(workspace: Workspace, mlflow: Any) -> None:
    entry = EgressEntry(host="track.example.com", purpose="mlflow", agreement="DPA 1")
    gate = Egress(PrivacyConfig(egress=[entry]))
    tracker = tracking.Tracker.__new__(tracking.Tracker)
    tracker._uri, tracker._gate = "https://track.example.com/api", gate
    tracker._permit()
    tracker._permit()
    assert gate.counts["track.example.com", "mlflow"] == 2


def test_how_a_run_stopped_is_told(workspace: Workspace) -> None:
    ends: list[str] = []

    class Told:
        def end(self, state: str, summary: Any) -> None:
            ends.append(state)

    for error in (KeyboardInterrupt(), ValueError()):
        with pytest.raises(type(error)), tracking.told_to(Told()):  # type: ignore[arg-type]
            raise error
    with tracking.told_to(None):
        pass
    assert ends == ["interrupted", "failed"]


def test_settings_are_told_flat_and_without_words_of_the_project() -> None:
    config = {"lr": 1e-3, "method": {"type": "lora", "r": 4}, "system": "x", "identity": "y"}
    assert tracking.flat(config) == {"lr": "0.001", "method.type": "lora", "method.r": "4"}
