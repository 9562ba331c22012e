"""Probes of a run: measured once, judged as constraints, shown in the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE, run, write_rows
from evaluate_fakes import CLASSIFY, report, target
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.records import Probe
from metier.core.types import Estimate
from metier.core.workspace import Workspace
from metier.journey import verbs
from metier.journey.probed import KINDS, METRICS, asked_kinds, kinds_of, with_probes
from metier.journey.probes import run_probes
from metier.journey.releases import make_release
from metier.journey.report import svg
from metier.journey.report.probes import probes_view
from metier.journey.session import Session, open_session
from metier.scoring import catalogue
from tiny_models import tiny_base
from tiny_records import example, save

CONSTRAINTS = (
    '[[objective.constraint]]\nmetric = "general_ability_drop"\nat_most = 0.9\n'
    '[[objective.constraint]]\nmetric = "ece"\nat_most = 0.0001\n'
)
SETTINGS = (
    "canaries = { count = 2, repetitions = [1, 3] }\nvalidation = 0.2\n"
    '[tune]\nmethod = { type = "lora", r = 2, alpha = 4 }\nepochs = 1\n'
    "[evaluate]\nresamples = 200\n"
    '[evaluate.probes]\ngeneral_items = "items.jsonl"\ngeneral_text = "own.txt"\ncodes = 32\n'
    "rows = 6\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on a random base, tuned and evaluated."""
    root = tmp_path_factory.mktemp("desk")
    base = tiny_base()
    base.model.save_pretrained(root / "base")
    base.tokenizer.save_pretrained(root / "base")
    write_rows(root, 60)
    items = [
        {"ask": f"{n} or more?", "choices": [f"{n}", f"{n + 1}"], "answer": f"{n}"}
        for n in range(1, 9)
    ]
    (root / "items.jsonl").write_text("\n".join(json.dumps(item) for item in items))
    (root / "own.txt").write_text("A first sentence. And one more.\n\nAnother text. It ends here.")
    head = HEAD.replace("metier/tiny", "base")
    (root / "metier.toml").write_text(head + OBJECTIVE + CONSTRAINTS + DATA + SETTINGS)
    with open_session(root / "metier.toml") as opened:
        verbs.build_data(opened)
        found = verbs.tune_base(opened)
        verbs.evaluate_run(opened, found.id)
    return root


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    with open_session(folder / "metier.toml") as opened:
        yield opened


@pytest.fixture
def probes(session: Session) -> list[Probe]:
    return run_probes(session)


def test_each_kind_leaves_a_probe_with_metrics_of_the_catalogue(
    session: Session, probes: list[Probe]
) -> None:
    run_id = ledger.get_run(session.workspace).id
    assert [probe.kind for probe in probes] == list(KINDS)
    assert {(probe.run_id, probe.subject) for probe in probes} == {(run_id, run_id)}
    for probe in probes:
        assert set(probe.metrics) == set(METRICS[probe.kind])  # type: ignore[index]
        assert all(catalogue()[name].kind == "probe" for name in probe.metrics)
        for estimate in probe.metrics.values():
            assert not math.isnan(estimate.value) or estimate.warnings
    by = {probe.kind: probe for probe in probes}
    assert by["memorisation"].detail["by_repetitions"].keys() == {"1", "3"}
    assert by["memorisation"].detail["most_bits"] == 1.0, "two labels"
    assert by["parity"].metrics["parity"].value == 1.0
    assert by["parity"].detail["passed"]
    assert by["parity"].detail["b"] == "adapter apart"


def test_no_look_at_the_test_set_is_used_up(session: Session, probes: list[Probe]) -> None:
    assert ledger.get_version(session.workspace).looks_used == 1


def test_what_was_measured_is_not_measured_again(session: Session, probes: list[Probe]) -> None:
    again = run_probes(session)
    assert [one.id for one in again] == [one.id for one in probes]
    config = session.project.evaluate
    other = config.model_copy(update={"probes": config.probes.model_copy(update={"rows": 5})})
    project = session.project.model_copy(update={"evaluate": other})
    (fresh,) = run_probes(replace(session, project=project), kinds=["robustness"])
    assert fresh.id not in {one.id for one in probes}


def test_a_constraint_on_a_side_effect_is_judged(session: Session, probes: list[Probe]) -> None:
    found = verbs.standing(session).verdict.results
    states = {result.metric: result.state for result in found}
    assert states["general_ability_drop"] != "open"
    assert states["ece"] == "failed"
    release = make_release(session)
    assert release.gate["state"] == "failed"


def test_the_report_shows_them(session: Session, probes: list[Probe]) -> None:
    page = verbs.write_report(session).read_text()
    assert 'id="effects"' in page
    for words in (
        "general_ability_drop",
        "Share right by stated confidence",
        "Exposure of planted",
    ):
        assert words in page
    assert "typing errors" in page


def test_the_command_prints_them(
    folder: Path, probes: list[Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["probe", "forgetting", "calibration", "--project", str(folder)]
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    assert [one["kind"] for one in json.loads(out)] == ["forgetting", "calibration"]
    code, out, err = run(capsys, *words)
    assert code == 0 and "general_ability_drop" in out
    code, _, err = run(capsys, "probe", "forgeting", "--project", str(folder))
    assert code == 2 and "forgetting" in err


def test_served_text_leaves_only_with_permission(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["probe", "parity", "--url", "http://127.0.0.1:9/v1", "--project", str(folder)]
    code, _, err = run(capsys, *words)
    assert code == 2 and "privacy.egress" in err


def test_a_run_that_is_not_finished_is_refused(workspace: Workspace, session: Session) -> None:
    version = ledger.get_version(session.workspace)
    started = ledger.start_run(session.workspace, version, "base", {})
    ledger.finish_run(session.workspace, started.id, "failed", None, {})
    with pytest.raises(InputError, match="a finished run"):
        run_probes(session, started.id)
    assert run_probes(session, started.id, []) == [], "nothing to measure"


# -- judging -------------------------------------------------------------------------------------


def test_the_newest_probe_of_the_run_on_the_version_counts(workspace: Workspace) -> None:
    first, second = (save(workspace, {"test": [example(n)]}) for n in (1, 2))
    run_id = ledger.start_run(workspace, first, "base", {}).id

    def measured(kind: str, name: str, value: float, version_id: str = first.id) -> None:
        metrics = {name: Estimate(value, value, value, 9, 9)}
        now, probe_id = datetime.now(UTC), new_id("probe")
        found = Probe(probe_id, now, kind, run_id, version_id, run_id, metrics, {})
        ledger.save_probe(workspace, found)

    tuned = report("tuned", {"accuracy": (0.9, 0.8, 1.0)})
    tuned = replace(tuned, run_id=run_id, version_id=first.id)
    assert with_probes(workspace, tuned) == tuned
    measured("calibration", "ece", 0.1)
    measured("calibration", "ece", 0.2)
    measured("robustness", "robustness_drop", 0.3, second.id)
    found = with_probes(workspace, tuned)
    assert set(found.metrics) == {"accuracy", "ece"}
    assert found.metrics["ece"].value == 0.2
    untuned = report("keyword", {"accuracy": (0.5, 0.4, 0.6)})
    assert with_probes(workspace, untuned) is untuned


def test_targets_name_the_kinds_that_a_cycle_runs() -> None:
    objective = CLASSIFY.model_copy(
        update={
            "target": [target(metric="accuracy", at_least=0.5)],
            "constraint": [
                target(metric="ece", at_most=0.1),
                target(metric="general_ability_drop", at_most=0.02),
            ],
        }
    )
    assert asked_kinds(objective) == ("forgetting", "calibration")
    assert asked_kinds(CLASSIFY) == ()


def test_kinds_are_named_or_all() -> None:
    assert kinds_of(["all"]) == KINDS
    assert kinds_of(["parity", "forgetting"]) == ("forgetting", "parity")
    with pytest.raises(InputError, match="robustness"):
        kinds_of(["robustnes"])


def test_every_metric_of_a_kind_is_in_the_catalogue() -> None:
    for names in METRICS.values():
        assert all(catalogue()[name].kind == "probe" for name in names)


def test_no_probes_no_section() -> None:
    assert probes_view([]) == {"parts": [], "shown": False}


# -- drawings ------------------------------------------------------------------------------------


def test_the_reliability_diagram_has_a_spot_per_bin_and_the_diagonal() -> None:
    share = Estimate(0.8, 0.7, 0.9, 40, 40)
    drawn = svg.reliability([[(0.9, share)], [(0.7, share)]], [(0.8, 1.0)])
    assert drawn.count("spot mark-0") == drawn.count("spot mark-1") == 1
    assert '<line class="zero" x1="0.0" y1="1000" x2="1000.0" y2="0"/>' in drawn
    assert 'x1="900.0" y1="200" x2="900.0" y2="200"' in drawn, "0.8 right at confidence 0.9"


def test_a_scatter_draws_what_is_finite() -> None:
    nothing = Estimate(math.nan, math.nan, math.nan, 0, 0)
    drawn = svg.scatter([([1.0, 2.0], Estimate(1.5, 1.0, 2.0, 2, 2)), ([], nothing)], (0, 20), 1.4)
    assert drawn.count('class="point"') == 2
    assert drawn.count("spot mark-0") == 1 and "nan" not in drawn
