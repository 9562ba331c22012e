"""A tuned run's adapter is measured the way it was trained, beside the base it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate_fakes import QUICK, ROUTING, bench_of, fields_row, labelled
from metier.core import ledger
from metier.core.records import TuneRun
from metier.core.workspace import Workspace
from metier.evaluate.baselines import run_baselines, tuned_contender
from metier.evaluate.bench import Bench
from metier.evaluate.evaluate import evaluate
from metier.models import prompt
from metier.models.adapters import save_adapter
from metier.models.base import Base
from tiny_models import tiny_base

PAIRS = [("where is my parcel", "delivery"), ("refund my payment", "billing")]


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def finished_run(bench: Bench, base: Base, folder: Path) -> TuneRun:
    from peft import LoraConfig, get_peft_model

    fresh = tiny_base()
    adapted = get_peft_model(fresh.model, LoraConfig(r=2, target_modules="all-linear"))
    save_adapter(adapted, base, folder)
    config = {"system": "You sort mail."}
    run = ledger.start_run(bench.workspace, bench.version, base.name, config)
    digest = bench.workspace.artifacts.put_tree(folder)
    return ledger.finish_run(bench.workspace, run.id, "done", digest, {})


def test_the_tuned_rung_is_asked_as_it_was_trained(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    bench = bench_of(workspace, train=labelled(0, PAIRS, 4), test=labelled(50, PAIRS, 3))
    run = finished_run(bench, base, tmp_path / "adapter")
    contender = tuned_contender(bench, run, base)
    assert (contender.rung, contender.variant, contender.system, contender.run_id) == (
        "tuned",
        prompt.TUNED,
        "You sort mail.",
        run.id,
    )
    report = evaluate(bench, contender)
    assert report.run_id == run.id
    assert report.n == 6 and not report.warnings[1:]
    assert report.metrics["unanswered_rate"].value == 0.0
    assert report.metrics["latency_mean_s"].value > 0
    assert ledger.get_version(workspace, bench.version.id).looks_used == 1


def test_base_and_tuned_model_fill_the_same_form(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    rows = [fields_row(i, f"where is my parcel {i}", "delivery", "late") for i in range(3)]
    rows += [fields_row(9 + i, f"refund my payment {i}", "billing", "yes") for i in range(3)]
    config = QUICK.model_copy(update={"max_new_tokens": 6, "few_shot_k": (2,)})
    bench = bench_of(workspace, ROUTING, config, train=rows[::2], test=rows[1::2])
    zero_shot, few_shot = run_baselines(bench, lambda: base, rungs=["zero_shot", "few_shot"])
    tuned = evaluate(bench, tuned_contender(bench, finished_run(bench, base, tmp_path / "a"), base))
    for report in (zero_shot, few_shot, tuned):
        assert report.metrics["schema_valid"].value == 1.0
        assert report.metrics["route.f1_macro"].n == 3
    assert "there are no validation rows" in zero_shot.warnings[0]
    assert len({zero_shot.fingerprint, few_shot.fingerprint, tuned.fingerprint}) == 3
