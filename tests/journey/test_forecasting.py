"""metier forecast: the verb, what became of a forecast, and the base-model advisor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE, project, run, write_rows
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.records import TuneRun
from metier.core.types import Estimate
from metier.journey import advising, forecasting
from metier.journey.forecasting import Wanted, forecast_tunes, keep_actual, method_config
from metier.journey.resources import job_bytes
from metier.journey.session import Session, open_session
from metier.models.base import TINY_PATH
from metier.models.footprint import Shape

TUNE = (
    '[tune]\nmethod = { type = "lora", r = 4, alpha = 8 }\nlr = 4e-3\nepochs = 1\n'
    "batch_tokens = 512\n"
)
COUNTED = Wanted(probe_seconds=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a frozen version."""
    from metier.journey.verbs import build_data

    made = tmp_path_factory.mktemp("forecast")
    project(made, HEAD + OBJECTIVE + DATA + TUNE)
    write_rows(made, 60)
    with open_session(made / "metier.toml") as session:
        build_data(session)
    return made


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    with open_session(folder / "metier.toml") as opened:
        yield opened


def finished(session: Session, forecast_steps: int) -> TuneRun:
    """A run as a tune leaves it: twice the memory above the base and three times the seconds."""
    (kept,) = ledger.list_probes(session.workspace, forecasting.KIND)[-1:]
    version = ledger.get_version(session.workspace)
    config = session.project.tune.model_dump(mode="json") | {"system": ""}
    begun = ledger.start_run(session.workspace, version, "metier/tiny", config)
    above = kept.detail["peak"]["value"] - kept.detail["settled"]
    summary = {
        "steps": forecast_steps,
        "train_seconds": 3 * kept.detail["seconds"]["value"],
        "memory_before_bytes": 10**9,
        "peak_memory_bytes": 10**9 + 2 * above,
        "resumed_at": 0,
    }
    return ledger.finish_run(session.workspace, begun.id, "done", None, summary)


def test_a_finished_run_corrects_the_next_forecast(session: Session) -> None:
    (before,) = forecast_tunes(session, COUNTED)
    found = keep_actual(session, finished(session, before.work.steps))
    assert found is not None
    assert found.metrics["memory_ratio"].value == pytest.approx(2.0)
    assert found.metrics["time_ratio"].value == pytest.approx(3.0)
    (after,) = forecast_tunes(session, COUNTED)
    assert after.memory["train"].value > before.memory["train"].value
    assert "1 earlier runs" in after.how or "1 earlier run" in after.how


def test_a_resumed_run_and_one_that_was_not_forecast_are_left_out(session: Session) -> None:
    (one,) = forecast_tunes(session, COUNTED)
    run_ = finished(session, one.work.steps)
    assert keep_actual(session, replace(run_, summary={**run_.summary, "resumed_at": 3})) is None
    assert keep_actual(session, replace(run_, base="another")) is None


def test_several_methods_and_a_machine_that_is_too_small(folder: Path) -> None:
    with open_session(folder / "metier.toml") as session:
        wanted = Wanted(methods=("lora:64", "full"), probe_seconds=0, memory_bytes=650 * 2**20)
        lora, full = forecast_tunes(session, wanted)
    assert lora.trained == 64 / 4 * Shape.read(TINY_PATH).lora_parameters(4)
    assert full.trained == full.parameters
    assert not full.fits
    assert all(change.memory.high <= 650 * 2**20 for change in full.changes)


def test_a_method_that_is_none_is_refused(session: Session) -> None:
    with pytest.raises(InputError, match="lora"):
        method_config(session.project.tune, "lorra")
    with pytest.raises(InputError, match="lora:64"):
        method_config(session.project.tune, "lora:many")
    assert method_config(session.project.tune, "lora").method.r == 4  # type: ignore[union-attr]


def test_the_probe_measures_a_real_tune(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys, "forecast", "--probe-seconds", "0.5", "--project", str(folder), "--json"
    )
    assert code == 0, err
    (found,) = json.loads(out)
    assert found["probed"] is True
    train, load = found["memory"]["train"], found["memory"]["load"]
    assert train["low"] <= train["value"] <= train["high"]
    assert train["value"] > load["value"] > 2e8
    assert 0 < found["seconds"]["train"]["value"] < 600
    assert found["disk"]["checkpoint"] > 3 * 4 * found["trained"]


def test_the_queue_counts_by_the_same_arithmetic(session: Session) -> None:
    shape = Shape.read(TINY_PATH)
    (one,) = forecast_tunes(session, COUNTED)
    needed = job_bytes(shape, session.project, True)
    assert one.memory["load"].value < needed < 2 * one.peak.high
    assert job_bytes(shape, session.project, False) < needed


def test_without_short_tunes_the_advisor_says_what_it_does_not_know(session: Session) -> None:
    wanted = Wanted(bases=("metier/tiny", str(TINY_PATH)), probe_seconds=0)
    found = advising.advise(session, wanted, advising.Terms(tune_seconds=0))
    assert found.best == ""
    assert "nothing is known of quality" in found.words[0]
    assert {one.quality_words for one in found.options} == {"no short tune"}
    rows = sum(ledger.get_version(session.workspace).counts.values())
    assert found.options[0].annotation_usd == pytest.approx(rows * 30 / 3600 * 40)


def option(session: Session, base: str, total: float) -> advising.BaseOption:
    (one,) = forecast_tunes(session, replace(COUNTED, keep=False))
    quality = Estimate(0.8, 0.7, 0.9, 40, 40)
    return advising.BaseOption(replace(one, base=base), quality, 10, 1.0, 1.0, 5.0, total, "e")


def test_the_advice_names_the_difference_its_interval_and_n(session: Session) -> None:
    from metier.core.records import Difference

    small, large = option(session, "small", 10.0), option(session, "large", 90.0)
    unclear = Difference("f1", "l", "s", Estimate(0.02, -0.03, 0.07, 40, 40), 0.4, None, 0.11)
    words = advising._beside(large, small, unclear, "f1", 1.0)
    assert words == (
        "large: $80.00 more in all; f1 +0.020 [-0.030, +0.070], n = 40, paired: no difference is "
        "shown (these rows show one of 0.110 four times in five)."
    )
    head = advising._headline(large, [small, large], "f1", advising.Terms(replies=1000))
    assert "$80.00 more than small, and it is better" in head


@pytest.mark.slow
def test_two_bases_are_tuned_for_a_short_while_and_compared(folder: Path) -> None:
    with open_session(folder / "metier.toml") as session:
        wanted = Wanted(bases=("metier/tiny", str(TINY_PATH)), probe_seconds=0)
        found = advising.advise(session, wanted, advising.Terms(tune_seconds=20))
    assert found.best
    (difference,) = found.differences
    assert difference.estimate.low <= 0 <= difference.estimate.high, "the same weights twice"
    assert all(one.total_usd is not None for one in found.options)
    assert datetime.now(UTC) > ledger.list_probes(session.workspace, advising.KIND)[-1].created_at
