"""tune, end to end, on a random model of a few thousand weights."""

from __future__ import annotations

import errno
import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import LABELS, OBJECTIVE, example, examples, settings, version

from metier.core import ledger
from metier.core.errors import Busy, ConfigError, InputError, OutOfSpace
from metier.core.progress import Event, Progress
from metier.core.records import TuneRun
from metier.core.types import LabelTarget
from metier.core.workspace import Workspace
from metier.models.adapters import load_adapter
from metier.models.base import Base, load_base
from metier.tune import run as sft
from metier.tune.loop import checkpoints, state
from metier.tune.packing import parity, passes
from metier.tune.run import tune
from metier.tune.tokens.encode import encode
from metier.tune.tokens.spoken import spoken
from tiny_models import tiny_base


def run_tune(ws: Workspace, base: Base | None = None, **changes: Any) -> TuneRun:
    keep = {key: changes.pop(key) for key in ("resume", "progress") if key in changes}
    return tune(
        settings(**changes),
        version(ws),
        ws,
        base or tiny_base(),
        OBJECTIVE,
        system="Route.",
        **keep,
    )


def losses(ws: Workspace, run: TuneRun, name: str = "train_loss") -> list[float]:
    return [p.value for p in ledger.metric_points(ws, run.id) if p.name == name]


def test_a_tune_lowers_the_loss_and_leaves_record_series_and_adapter(
    workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    base = tiny_base()
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    events: list[Event] = []
    run = run_tune(workspace, base, progress=Progress(events.append))

    assert run.state == "done"
    assert run == ledger.get_run(workspace, run.id)
    summary = run.summary
    assert summary["validation_loss"] < summary["validation_loss_before"]
    assert summary["layout"] == "segments"
    assert summary["examples"] == 24
    assert summary["steps"] == summary["planned_steps"] == len(losses(workspace, run))
    assert losses(workspace, run)[-1] < losses(workspace, run)[0]
    assert len(losses(workspace, run, "validation_loss")) == 3

    assert [e.task for e in events if e.kind == "start"] == ["encode", "tune"]
    done = [e for e in events if e.task == "tune" and e.kind == "advance"]
    assert done[-1].done == done[-1].total == summary["steps"]
    assert any("validation_loss" in e.values for e in events)

    # The base is as it was: it serves on as a baseline, and can be tuned again.
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert base.model.config._attn_implementation == "sdpa"
    assert all(p.requires_grad for p in base.model.parameters())
    assert capfd.readouterr() == ("", "")


def test_the_adapter_in_the_store_has_the_loss_that_was_reported(workspace: Workspace) -> None:
    base = tiny_base()
    run = run_tune(workspace, base)
    folder = workspace.artifacts.checkout(str(run.adapter))
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "metier.json",
    }  # fmt: skip
    kept = json.loads((folder / "adapter_config.json").read_text())
    assert kept["base_model_name_or_path"] == "random/llama"
    model = load_adapter(base, folder)
    rows = ledger.load_split(workspace, run.version_id, "validation")
    held_out = encode(rows, spoken(OBJECTIVE, LABELS, "Route."), base.tokenizer, 512).examples
    with torch.no_grad():
        one = passes.lay_out(held_out, "padded", 3)
        loss = passes.token_losses(model, one)[0].sum() / (one.targets != passes.IGNORED).sum()
    assert float(loss) == pytest.approx(run.summary["validation_loss"], abs=1e-4)


def test_the_same_seed_gives_the_same_adapter_and_lineage_leads_back(workspace: Workspace) -> None:
    first, second = run_tune(workspace), run_tune(workspace, resume=False)
    assert first.id != second.id
    assert first.adapter == second.adapter
    nodes = workspace.lineage.trace(second.id, "up")
    assert first.version_id in {node.ref.id for node in nodes}


@pytest.mark.parametrize("changes", [{"micro_batch_tokens": 64}, {"mode": "padded"}])
def test_how_a_step_is_cut_or_laid_out_does_not_change_the_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    whole = run_tune(workspace)
    if changes.pop("mode", None):
        found = parity.Parity("padded", {"segments": 1.0, "blocks": 1.0}, 1e-4)

        def pads(model: Any, _: Any, usual: str) -> parity.Parity:
            passes.use(model, "padded", usual)
            return found

        monkeypatch.setattr(parity, "check", pads)
    events: list[Event] = []
    other = run_tune(workspace, resume=False, progress=Progress(events.append), **changes)
    assert losses(workspace, other) == pytest.approx(losses(workspace, whole), rel=2e-4)
    padded = [e.text for e in events if e.kind == "note" and "padding instead" in e.text]
    assert bool(padded) == (other.summary["layout"] == "padded")


def test_every_weight_can_be_trained_into_a_model_of_its_own(workspace: Workspace) -> None:
    base = tiny_base()
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    run = run_tune(workspace, base, method={"type": "full"}, lr=1e-2)
    assert run.summary["trained_parameters"] == run.summary["parameters"]
    assert all(torch.equal(before[n], v) for n, v in base.model.state_dict().items())
    tuned = load_base(str(workspace.artifacts.checkout(str(run.adapter))))
    assert tuned.tokenizer.chat_template == base.tokenizer.chat_template
    assert run.summary["validation_loss"] < run.summary["validation_loss_before"]


def test_the_best_checkpoint_is_kept_and_patience_ends_the_run(workspace: Workspace) -> None:
    # Validation wants another label than training teaches: the loss there rises.
    other = [example(n, f"parcel {n}", LabelTarget("returns")) for n in range(200, 206)]
    train = [example(n, f"parcel {n}", LabelTarget("billing")) for n in range(12)]
    held = version(workspace, {"train": train, "validation": other})
    config = settings(epochs=30, patience=2, lr=3e-2, eval_every=2)
    run = tune(config, held, workspace, tiny_base(), OBJECTIVE)
    measured = losses(workspace, run, "validation_loss")
    assert run.summary["stopped_early"]
    assert run.summary["steps"] < run.summary["planned_steps"]
    assert run.summary["validation_loss"] == min(measured[1:])
    assert run.summary["best_step"] == run.summary["steps"] - 2 * 2


def test_without_validation_the_last_weights_are_kept(workspace: Workspace) -> None:
    held = version(workspace, {"train": examples(12)})
    run = tune(settings(), held, workspace, tiny_base(), OBJECTIVE)
    assert run.summary["validation_loss"] is None
    assert run.adapter


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_example(
    workspace: Workspace,
) -> None:
    base = tiny_base()
    rows = examples(12)
    odd = example(99, "where is my ZZZ", LabelTarget("billing"))
    weights = base.model.get_input_embeddings().weight
    with torch.no_grad():
        weights[base.tokenizer("ZZZ")["input_ids"]] = float("nan")
    held = version(workspace, {"train": [*rows, odd]})
    with pytest.raises(InputError) as caught:
        tune(settings(), held, workspace, base, OBJECTIVE)
    assert "on 1 of" in caught.value.got
    assert odd.id in caught.value.got
    assert not any(row.id in caught.value.got for row in rows)
    assert "metier inspect" in caught.value.remedy
    stopped = ledger.get_run(workspace)
    assert (stopped.state, stopped.adapter) == ("failed", None)
    assert "NaN" in stopped.summary["why"]


def test_layers_that_do_not_exist_are_refused_by_name(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="q_proj") as caught:
        run_tune(workspace, method={"type": "lora", "targets": ["wq"]})
    assert "wq" in caught.value.got


def test_nothing_to_learn_from_starts_no_run(workspace: Workspace) -> None:
    held = version(workspace, {"train": [example(1, "card", None)]})
    with pytest.raises(InputError, match="no target to learn from"):
        tune(settings(), held, workspace, tiny_base(), OBJECTIVE)
    assert ledger.list_runs(workspace) == []


# -- stopping and going on ------------------------------------------------------------------------


def stop_at(step: int, error: BaseException) -> Progress:
    def sink(event: Event) -> None:
        if event.kind == "metric" and event.step == step and "train_loss" in event.values:
            raise error

    return Progress(sink)


def folder_of(ws: Workspace, run: TuneRun) -> Path:
    return ws.work_dir / sft.FOLDER / run.id


def test_an_interrupted_tune_goes_on_to_the_same_end(workspace: Workspace) -> None:
    dropout = {"type": "lora", "r": 4, "alpha": 8, "dropout": 0.2}
    whole = run_tune(workspace, method=dropout)
    with pytest.raises(KeyboardInterrupt):
        run_tune(
            workspace,
            method=dropout,
            checkpoint_every=2,
            resume=False,
            progress=stop_at(6, KeyboardInterrupt()),
        )
    stopped = ledger.get_run(workspace)
    assert stopped.state == "interrupted"
    events: list[Event] = []
    resumed = run_tune(workspace, method=dropout, progress=Progress(events.append))
    assert resumed.id == stopped.id
    assert resumed.summary["resumed_at"] == 4
    assert any("going on from step 4" in event.text for event in events)
    assert losses(workspace, resumed) == losses(workspace, whole)
    assert resumed.summary["final_train_loss"] == whole.summary["final_train_loss"]
    assert resumed.adapter == whole.adapter
    assert not list(folder_of(workspace, resumed).glob("checkpoint-*"))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(workspace: Workspace) -> None:
    whole = run_tune(workspace)
    with pytest.raises(KeyboardInterrupt):
        run_tune(
            workspace,
            checkpoint_every=2,
            resume=False,
            progress=stop_at(7, KeyboardInterrupt()),
        )
    stopped = ledger.get_run(workspace)
    newest = checkpoints.newest(folder_of(workspace, stopped)).path
    assert newest is not None
    with (newest / state.OPTIMIZER).open("r+b") as damaged:
        damaged.seek(-1, 2)
        damaged.write(b"\x01")
    events: list[Event] = []
    resumed = run_tune(workspace, progress=Progress(events.append))
    notes = [event.text for event in events if event.kind == "note"]
    assert any(f"{state.OPTIMIZER} has changed since it was written" in note for note in notes)
    assert resumed.summary["resumed_at"] == 4
    assert resumed.adapter == whole.adapter


def test_a_full_disk_keeps_the_checkpoint_before_and_the_run_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_tune(workspace)
    write: Callable[..., None] = state.write

    def full_at_four(folder: Path, *rest: Any) -> None:
        if "00000004" in folder.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, *rest)

    monkeypatch.setattr(state, "write", full_at_four)
    with pytest.raises(OutOfSpace, match="saving the checkpoint of step 4"):
        run_tune(workspace, checkpoint_every=2, resume=False)
    stopped = ledger.get_run(workspace)
    folder = folder_of(workspace, stopped)
    assert stopped.state == "interrupted"
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["checkpoint-00000002"]
    monkeypatch.undo()
    resumed = run_tune(workspace)
    assert resumed.id == stopped.id
    assert resumed.adapter == whole.adapter


def test_a_killed_runs_state_is_running_and_it_is_taken_up(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_tune(workspace, checkpoint_every=3, progress=stop_at(4, KeyboardInterrupt()))
    killed = ledger.resume_run(workspace, ledger.get_run(workspace).id)
    assert killed.state == "running"
    assert run_tune(workspace, resume=killed.id).summary["resumed_at"] == 3


def test_a_run_is_not_continued_with_other_settings(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_tune(workspace, progress=stop_at(2, KeyboardInterrupt()))
    stopped = ledger.get_run(workspace)
    with pytest.raises(InputError, match="restore what was changed"):
        run_tune(workspace, lr=1e-3, resume=stopped.id)
    assert run_tune(workspace, lr=1e-3).id != stopped.id


def test_two_processes_do_not_train_one_run(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_tune(workspace, progress=stop_at(2, KeyboardInterrupt()))
    stopped = ledger.get_run(workspace)
    with (folder_of(workspace, stopped) / "lock").open("w") as lock:
        lock.write("4321")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="process 4321"):
            run_tune(workspace)
    assert ledger.get_run(workspace).id == stopped.id
