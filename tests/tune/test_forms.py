"""Forms of a model are held to it: the same pass, another model is noticed and stays on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from exported_runs import drawn_run, project

from metier.apps.cli import main
from metier.core import ledger
from metier.core.errors import EgressRefused, InputError
from metier.journey.exporting import export_model, wanted
from metier.journey.parity import ServedAt, run_parity
from metier.journey.probed import EXPORTS, probes_of
from metier.journey.releases import make_release
from metier.journey.report.probes import probes_view
from metier.journey.session import Session
from metier.journey.verbs import evaluate_run


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with project(tmp_path_factory.mktemp("desk")) as session:
        drawn_run(session)
        yield session


def test_a_merge_is_the_model_and_quantised_is_near(desk: Session) -> None:
    pytest.importorskip("compressed_tensors")
    found = run_parity(desk, "latest", ("merged", "int8"))
    merged, int8 = found.forms
    assert merged.passed
    assert merged.logprob_max is not None and merged.logprob_max < 1e-4
    assert merged.tokens > 50 and merged.same.value == 1.0 and merged.same.n == 6
    assert merged.metric == "f1_macro" and merged.difference is not None
    assert merged.difference.value == 0.0
    assert int8.logprob_mean is not None and merged.logprob_mean is not None
    assert int8.logprob_mean > 10 * merged.logprob_mean


def test_llama_cpp_is_compared_by_what_it_chose(desk: Session) -> None:
    pytest.importorskip("xllamacpp")
    (form,) = run_parity(desk, "latest", ("gguf f32",)).forms
    assert form.logprob_max is not None and form.logprob_max < 0.02
    assert form.tokens >= 6


def test_another_model_misses_the_bar_and_that_is_kept(desk: Session, tmp_path: Path) -> None:
    run = drawn_run(desk)
    export_model(desk, run.id, wanted("merged"), tmp_path / "out")
    other = drawn_run(desk, scale=1.2)
    note = json.loads((tmp_path / "out/metier.json").read_text())
    with pytest.raises(InputError, match="an export of"):
        run_parity(desk, other.id, (), folder=tmp_path / "out")
    (tmp_path / "out/metier.json").write_text(json.dumps(note | {"run": other.id}))
    found = run_parity(desk, other.id, (), folder=tmp_path / "out")
    assert not found.passed
    assert "log-probability difference" in found.forms[0].failed[0]
    (kept,) = ledger.list_probes(desk.workspace, EXPORTS, run_id=other.id)
    assert probes_of(desk.workspace, other.id) == [kept]
    (part,) = probes_view([kept])["parts"]
    assert "merged" in part["lead"] and "not passed" in part["lead"]
    assert kept.detail["passed"] is False
    assert kept.detail["forms"][0]["failed"]


@pytest.mark.parametrize("form", ["adapter", "merged", "quantised", "gguf"])
def test_what_was_exported_is_the_model(desk: Session, tmp_path: Path, form: str) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("compressed_tensors")
    export_model(desk, "latest", wanted(form, precision="f16"), tmp_path / "out")
    (found,) = run_parity(desk, "latest", (), folder=tmp_path / "out").forms
    assert found.logprob_mean is not None
    assert found.logprob_mean < {"quantised": 0.1, "gguf": 0.02}.get(form, 1e-5)


def test_a_served_model_is_asked_only_where_that_is_allowed(desk: Session) -> None:
    with pytest.raises(EgressRefused, match="parity"):
        run_parity(desk, "latest", (), served=ServedAt("http://127.0.0.1:9/v1", "v1"))


def test_a_release_that_is_served_answers_as_it_was_tuned(
    desk: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    run = drawn_run(desk)
    evaluate_run(desk, run.id)
    make_release(desk, run.id)
    with pytest.raises(SystemExit) as ended:
        main(["parity", "v1", "--serve", "--json", "--project", str(desk.root)])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    (form,) = told["parity"]["forms"]
    assert told["passed"] and form["form"] == "served v1"
    assert form["same"]["value"] == 1.0 and form["errors"] == 0
    assert not [one for one in desk.workspace.audit.entries() if one.action == "egress.allowed"]


def test_a_miss_ends_with_code_1(desk: Session, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("compressed_tensors")
    drawn_run(desk)
    with pytest.raises(SystemExit) as ended:  # a random model is not itself in four bits
        main(["parity", "--form", "int4", "--project", str(desk.root)])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "MISSED" in said and "kept as probe_" in said


def test_an_unknown_form_is_named(desk: Session) -> None:
    with pytest.raises(InputError, match="did you mean 'int8'"):
        run_parity(desk, "latest", ("int9",))
