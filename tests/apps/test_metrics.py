"""``metier metrics``: the catalogue on the command line, with and without a project."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from metier.apps.cli import main
from metier.core import plugins
from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring import catalogue, make_metric, registry
from metier.scoring.base import Measured, mean_statistic
from metier.scoring.tasks import task_metrics
from metier.scoring.types import Metric, MetricInfo

PROJECT = """
[project]
name = "clinic"
[objective]
task = "structured"
metrics = ["reply.semantic_similarity"]
[objective.fields]
type = "object"
[objective.fields.properties.route]
enum = ["billing", "clinic"]
[objective.fields.properties.reply]
type = "string"
[[objective.check]]
type = "pattern"
name = "says_hello"
must_match = "hello"
"""


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    try:
        main(["metrics", *words])
    except SystemExit as stop:
        assert not stop.code
    return capsys.readouterr().out


@pytest.fixture
def project(tmp_path: Path) -> str:
    (tmp_path / "metier.toml").write_text(PROJECT)
    return str(tmp_path)


def test_every_metric_is_listed_with_range_and_direction(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run(capsys, "list", "--json", "-p", str(tmp_path)))
    by_name = {one["info"]["name"]: one for one in found}
    assert set(catalogue()) <= set(by_name)
    assert by_name["auroc"]["range"] == "0 to 1"
    assert by_name["error_rate"]["info"]["higher_is_better"] is False
    assert by_name["empathy"]["info"]["proxy"] is True
    assert {one["use"] for one in found} == {""}  # there is no project


def test_the_list_can_be_of_one_task(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    text = run(capsys, "list", "--task", "extract", "-p", str(tmp_path))
    assert "span_f1_partial" in text and "rougeL" not in text
    with pytest.raises(SystemExit):
        main(["metrics", "list", "--task", "extrat"])
    assert "did you mean 'extract'" in capsys.readouterr().err


def test_what_a_project_makes_of_a_metric(project, capsys) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run(capsys, "list", "--json", "-p", project))
    uses = {one["info"]["name"]: (one["use"], one["names"]) for one in found}
    assert uses["f1_macro"] == ("computed", ["route.f1_macro"])
    assert uses["semantic_similarity"] == ("computed", ["reply.semantic_similarity"])
    assert uses["semantic_similarity_minilm"][0] == "when listed"
    assert uses["auroc"][0] == "no"
    assert uses["general_ability_drop"][0] == "probe"


def test_one_metric_is_explained(project, capsys) -> None:  # type: ignore[no-untyped-def]
    text = run(capsys, "show", "rougeL", "-p", project)
    assert "longest common subsequence" in text and "as          reply.rougeL" in text
    assert "gates nothing until it is validated" in run(capsys, "show", "empathy", "-p", project)
    assert "pass the pattern check" in run(capsys, "show", "says_hello", "-p", project)
    with pytest.raises(SystemExit):
        main(["metrics", "show", "rougel", "-p", project])
    assert "did you mean 'rougeL'" in capsys.readouterr().err


INFO = MetricInfo("words", "Mean words per reply.", "mean", ("answer",), unit="words", high=None)


def words_metric() -> Metric:
    """A third party's metric, as an entry point names it."""
    return Measured(
        INFO,
        lambda records: mean_statistic(records, [len(str(one.got).split()) for one in records]),
    )


def test_a_third_partys_metric_comes_by_entry_point(tmp_path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    point = EntryPoint("words", f"{__name__}:words_metric", "metier.metrics")
    given = lambda group: [point] if group == "metier.metrics" else []  # noqa: E731
    monkeypatch.setattr(plugins, "entry_points", given)
    monkeypatch.setattr(registry.metrics, "_loaded", False)
    monkeypatch.setattr(registry.metrics, "_factories", dict(registry.metrics._factories))
    records = [Score("e1", None, "a", "one two"), Score("e2", None, "a", "one two three four")]
    assert make_metric("words")(records).value == 3.0
    assert "words" in task_metrics(Objective(task="answer", metrics=["words"]))
    assert "Mean words per reply." in run(capsys, "list", "-p", str(tmp_path))
    assert "Mean words per reply." in run(capsys, "show", "words", "-p", str(tmp_path))
