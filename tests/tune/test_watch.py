"""The task's metric while training; out of memory; a disk budget: what a run does about them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import OBJECTIVE, example, examples, settings, version

from metier.core import ledger
from metier.core.errors import ConfigError, InputError, OutOfMemory, UserError
from metier.core.records import TuneRun
from metier.core.types import CompletionTarget, LabelTarget
from metier.core.workspace import Workspace
from metier.models.engines.local import LocalCompleter
from metier.tune.loop import memory, watch
from metier.tune.packing import passes
from metier.tune.run import tune
from tiny_models import tiny_base

DROPOUT = {"type": "lora", "r": 4, "alpha": 8, "dropout": 0.2}


def run_tune(ws: Workspace, resume: bool = True, **changes: Any) -> TuneRun:
    return tune(settings(**changes), version(ws), ws, tiny_base(), OBJECTIVE, resume=resume)


def values(ws: Workspace, run: TuneRun, name: str) -> list[float]:
    return [p.value for p in ledger.metric_points(ws, run.id) if p.name == name]


def test_the_metric_is_measured_at_each_validation_with_interval_and_n(
    workspace: Workspace,
) -> None:
    run = run_tune(workspace, eval_task_examples=5)
    measured = values(workspace, run, "validation_f1_macro")
    assert len(measured) == len(values(workspace, run, "validation_loss")) == 3
    lows, highs = (values(workspace, run, f"validation_f1_macro_{end}") for end in ("low", "high"))
    assert all(a <= b <= c for a, b, c in zip(lows, measured, highs, strict=True))
    assert set(values(workspace, run, "validation_f1_macro_n")) == {5.0}
    assert run.summary["task_metric"] == "f1_macro"
    assert run.summary["task_metric_at_best"]["n"] == 5
    assert len(values(workspace, run, "tokens_per_s")) > 0
    assert values(workspace, run, "peak_memory_gb")[-1] > 0.01


@pytest.mark.parametrize("method", [DROPOUT, {"type": "full"}])
def test_answering_leaves_the_training_as_it_was(
    workspace: Workspace, method: dict[str, Any]
) -> None:
    alone = run_tune(workspace, method=method, eval_task_examples=0)
    watched = run_tune(workspace, method=method, eval_task_examples=6, best_by="loss")
    assert values(workspace, watched, "train_loss") == values(workspace, alone, "train_loss")
    assert values(workspace, alone, "validation_f1_macro") == []
    assert watched.adapter == alone.adapter
    assert watched.summary["layout"] == "segments"


def test_it_is_what_the_adapter_answers_afterwards(workspace: Workspace) -> None:
    run = run_tune(workspace, epochs=3)
    base, rows = tiny_base(), examples(6, start=100)
    completer = LocalCompleter(base, workspace.artifacts.checkout(str(run.adapter)))
    sample = watch.Sample(rows, OBJECTIVE, ("billing", "delivery", "returns"), "", "f1_macro", 16)
    measure = watch.Watch(base, sample, "padded", "sdpa")
    measure._completer = completer
    assert measure(completer.model)["f1_macro"] == pytest.approx(
        run.summary["task_metric_at_best"]["value"], abs=1e-4
    )


def test_written_replies_are_measured_too(workspace: Workspace) -> None:
    objective = OBJECTIVE.model_copy(update={"task": "answer", "labels": None})
    rows = [example(n, f"where is {n}", CompletionTarget("the parcel is late")) for n in range(20)]
    held = version(workspace, {"train": rows[:16], "validation": rows[16:]})
    config = settings(epochs=6, lr=3e-2)
    run = tune(config, held, workspace, tiny_base(), objective)
    assert run.summary["task_metric"] == "token_f1"
    before, after = (run.summary[f"task_metric_{when}"]["value"] for when in ("before", "at_best"))
    assert after > before
    assert torch.is_grad_enabled()


def test_a_metric_that_is_none_is_refused_before_the_run(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="name of a metric"):
        run_tune(workspace, best_by="f1_makro")
    with pytest.raises(ConfigError, match="where no replies are measured"):
        run_tune(workspace, best_by="accuracy", eval_task_examples=0)
    with pytest.raises(ConfigError, match="a metric of replies"):
        run_tune(workspace, best_by="latency_p95_s")
    assert ledger.list_runs(workspace) == []


def test_patience_counts_validations_without_a_better_metric(workspace: Workspace) -> None:
    # Validation wants a label that training never names: no reply gets better.
    other = [example(n, f"parcel {n}", LabelTarget("returns")) for n in range(200, 206)]
    train = [example(n, f"parcel {n}", LabelTarget("billing")) for n in range(12)]
    held = version(workspace, {"train": train, "validation": other})
    config = settings(epochs=30, patience=2, lr=3e-2, eval_every=2, best_by="accuracy")
    run = tune(config, held, workspace, tiny_base(), OBJECTIVE)
    assert run.summary["stopped_early"]
    assert run.summary["best_step"] == run.summary["steps"] - 2 * 2


# -- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"
        ),
        MemoryError(),
    ],
)
def test_out_of_memory_advises_keeps_the_checkpoint_and_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    whole = run_tune(workspace)
    real, limit = passes.token_losses, 120

    def small(model: Any, one: passes.Pass) -> Any:
        training = one.tokens > limit and torch.is_grad_enabled()
        calls.extend([one.tokens] * training)
        if training and len(calls) > 5:
            raise error
        return real(model, one)

    calls: list[int] = []
    monkeypatch.setattr(passes, "token_losses", small)
    with pytest.raises(OutOfMemory, match="micro_batch_tokens = ") as caught:
        run_tune(workspace, resume=False, checkpoint_every=2)
    stopped = ledger.get_run(workspace)
    assert stopped.state == "interrupted"
    assert "same run goes on" in caught.value.remedy
    # The advice, taken: the same run, the same losses.
    advised = int(caught.value.remedy.split("micro_batch_tokens = ")[1].split()[0])
    assert advised <= limit
    resumed = run_tune(workspace, micro_batch_tokens=advised, checkpoint_every=2)
    assert resumed.id == stopped.id
    assert resumed.summary["resumed_at"] == 4
    assert values(workspace, resumed, "train_loss") == pytest.approx(
        values(workspace, whole, "train_loss"), rel=2e-4
    )


def test_the_advice_is_the_cheapest_change_that_is_left() -> None:
    cut = memory.advice(settings(), memory.Load(pass_tokens=192, example_tokens=40))
    assert "micro_batch_tokens = 96" in cut
    alone = memory.Load(pass_tokens=40, example_tokens=40)
    assert "gradient_checkpointing = true" in memory.advice(settings(), alone)
    last = memory.advice(settings(gradient_checkpointing=True, method={"type": "full"}), alone)
    assert "max_tokens" in last and "lora" in last


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    assert not memory.is_out_of_memory(RuntimeError("shapes do not match"))
    assert not memory.is_out_of_memory(ValueError("out of memory"))


def test_replies_are_asked_in_smaller_batches_where_memory_is_short(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, rows = watch.answer, []

    def short(completer: Any, *rest: Any) -> Any:
        rows.append(completer.most_rows)
        if completer.most_rows > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(completer, *rest)

    monkeypatch.setattr(watch, "answer", short)
    run = run_tune(workspace)
    assert run.state == "done"
    assert rows[:3] == [48, 12, 3]


# -- disk ----------------------------------------------------------------------------------------


def test_a_budget_that_is_too_small_is_said_before_the_first_step(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="3 checkpoints"):
        run_tune(workspace, disk_gb=1e-4)
    assert run_tune(workspace, disk_gb=0.01, keep_checkpoints=50, checkpoint_every=1).adapter


# -- another model's tokenizer -------------------------------------------------------------------


def test_a_tokenizer_with_more_tokens_than_the_base_has_rows_is_refused(
    workspace: Workspace,
) -> None:
    base = tiny_base()
    assert base.tokenizer.add_tokens(["parcel"]) == 1
    with pytest.raises(InputError, match="its embedding has") as caught:
        tune(settings(), version(workspace), workspace, base, OBJECTIVE)
    assert "'parcel'" in caught.value.got
    assert "belong to the base's weights" in caught.value.remedy
    assert ledger.get_run(workspace).state == "failed"
