"""Forecast: counted memory, time and disk; calibration; what would fit."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import OBJECTIVE, settings, version

from metier.core.costs import Prices
from metier.core.workspace import Workspace
from metier.models.footprint import Shape
from metier.tune.config import TuneConfig
from metier.tune.forecast import disk, memory, speed, work
from metier.tune.forecast import probe as probes
from metier.tune.forecast.calibration import Calibration, Factor, Outcome, calibration
from metier.tune.forecast.fitting import what_would_fit
from metier.tune.forecast.forecast import Candidate, Items, decide, forecast
from metier.tune.forecast.machine import Machine
from metier.tune.forecast.steps import spread
from metier.tune.forecast.types import PassLoad, Probed, Range, Work

LLAMA_8B = Shape(32, 4096, 14336, 32, 8, 128, 128256, tied=False)
SMALL = Shape(4, 128, 256, 4, 2, 32, 512, tied=True)
MACHINE = Machine("a machine", "key", "cpu", 8 * 2**30)
PASS = PassLoad(2048, 512, 2048 * 256)


def config(**changes: Any) -> TuneConfig:
    return settings(**{"batch_tokens": 256, "epochs": 2, **changes})


def candidate(shape: Shape = SMALL, **changes: Any) -> Candidate:
    lengths = [10 + 7 * (i % 20) for i in range(60)]
    items = Items(lengths, [n // 3 for n in lengths], lengths[:6], [3] * 6, 0.5)
    return Candidate("a base", shape, config(**changes), items)


def probed(**changes: Any) -> Probed:
    found = Probed(
        settled=700 * 2**20,
        peaks={"load": 710 * 2**20, "train": 900 * 2**20, "save": 800 * 2**20},
        step_seconds=((3, 0.5), (1, 0.5), (5, 0.5)),
        load_seconds=2.0,
        validation_seconds=None,
        watch_seconds=0.0,
        validated=PassLoad(0, 0, 0),
        save_seconds=0.1,
        checkpoint_bytes=1000,
        export_seconds=0.2,
        export_bytes=500,
        layout="segments",
        rows_share=1.0,
    )
    return replace(found, **changes)


def test_the_planned_work_holds_every_token_of_every_epoch() -> None:
    one = candidate(micro_batch_tokens=160)
    planned = one.work()
    assert planned.total.tokens == 2 * sum(one.items.lengths)
    assert planned.total.supervised == 2 * sum(one.items.supervised)
    assert planned.heaviest.tokens <= 160 < max(step.tokens for step in planned.per_step)
    assert planned.validations == 3, "before the first step and after each epoch"
    assert planned.validation.tokens == sum(one.items.held_out)


def test_a_padded_pass_counts_its_padding() -> None:
    (held,) = work.loads([(0, 1)], [10, 6], [2, 3], padded=True)
    assert held == PassLoad(20, 10, 200)


def test_the_values_kept_for_the_backward_pass_are_those_counted() -> None:
    """The count is held against what autograd saves in a real forward pass."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=128, intermediate_size=256, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=4, head_dim=32,
        )
    )  # fmt: skip
    shape = Shape.of(model.config.to_dict())
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = 256
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.model(torch.arange(tokens)[None] % 64, use_cache=False)
    full = memory.trained_by(config(method={"type": "full"}).method, shape, "cpu")
    counted = memory.layer_values(shape, full) * shape.layers * tokens * 4
    assert sum(saved.values()) == pytest.approx(counted, rel=0.15)


def test_memory_of_the_methods_and_of_checkpointing() -> None:
    def train(method: dict[str, Any], checkpointing: bool = False, device: str = "cpu") -> int:
        settled = config(method=method)
        work_ = Work(1, (PASS,), PASS, 0)
        return memory.phases(LLAMA_8B, settled, work_, device, checkpointing)["train"]

    lora, full = train({"type": "lora"}), train({"type": "full"})
    assert full > lora > train({"type": "lora"}, True)
    assert full > 4.9 * LLAMA_8B.weight_bytes(), "the base, weights, gradients and two moments"
    assert train({"type": "qlora"}, device="cuda") < train({"type": "lora"}, device="cuda")


def test_a_base_in_four_bits_is_as_large_as_published() -> None:
    """QLoRA's storage of Llama 3 8B: about 5.7 GB (its 1.05 B embedding weights stay bfloat16)."""
    held = memory.trained_by(config(method={"type": "qlora"}).method, LLAMA_8B, "cuda")
    assert held.base_bytes == pytest.approx(5.7e9, rel=0.02)


def test_operations_are_six_per_weight_and_token_of_a_full_step() -> None:
    """Kaplan et al. 2020: 6 N per token; LoRA needs no gradients of the weights: 4 N."""
    load = PassLoad(1000, 1000, 0)
    weights = LLAMA_8B.parameters - LLAMA_8B.vocabulary * LLAMA_8B.width
    full = memory.trained_by(config(method={"type": "full"}).method, LLAMA_8B, "cpu")
    lora = memory.trained_by(config(method={"type": "lora"}).method, LLAMA_8B, "cpu")
    assert speed.step_flops(LLAMA_8B, full, load, False) == pytest.approx(6e3 * weights, rel=0.01)
    assert speed.step_flops(LLAMA_8B, lora, load, False) == pytest.approx(4e3 * weights, rel=0.02)
    twice = speed.step_flops(LLAMA_8B, lora, load, True) / speed.step_flops(
        LLAMA_8B, lora, load, False
    )
    assert 1.4 < twice < 1.55


def test_the_checkpoint_holds_weights_and_two_moments() -> None:
    full = memory.trained_by(config(method={"type": "full"}).method, SMALL, "cpu")
    counted = disk.disk(SMALL, config(keep_checkpoints=1), full, "cpu")
    assert counted.checkpoint - disk.SMALL == 12 * SMALL.parameters
    assert counted.checkpoints == 3 * counted.checkpoint


def test_the_probe_runs_the_heaviest_step_first_and_then_light_and_heavy_ones() -> None:
    planned = candidate(epochs=8).work()
    order = spread(planned)
    assert order[0] == planned.heaviest_step
    sizes = [planned.per_step[at].tokens for at in order[1:]]
    assert sum(sizes[:8]) / 8 == pytest.approx(planned.total.tokens / planned.steps, rel=0.05)
    assert len(set(order)) > 8


def test_time_is_the_ratio_of_what_was_measured_carried_over() -> None:
    rate, scatter = speed.from_probe([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    assert rate == pytest.approx(0.1)
    assert scatter == pytest.approx(0.0, abs=1e-9)
    assert speed.from_probe([1.0, 4.0, 3.0], [10.0, 20.0, 30.0])[1] > 0.3
    one = forecast(candidate(), MACHINE, Prices(), probed=probed(step_seconds=((0, 1.0),) * 3))
    share = one.work.per_step[0].tokens / one.work.total.tokens
    assert one.seconds.train.value == pytest.approx(1.0 / share, rel=0.1)
    assert one.seconds.train.low < one.seconds.train.value < one.seconds.train.high
    assert one.usd.value == pytest.approx(one.seconds.total.value / 3600 * 0.10)


def test_measured_peaks_replace_counted_ones() -> None:
    one = forecast(candidate(), MACHINE, Prices(), probed=probed())
    assert one.memory["train"].value == 900 * 2**20
    assert one.memory["train"].low > 700 * 2**20, "what is held after loading is certain"
    assert one.disk.export == 500
    assert one.peak == one.memory["train"]
    assert one.fits and one.changes == ()


def test_earlier_runs_move_the_forecast_and_its_error_bar() -> None:
    outcomes = [Outcome("key", "lora", True, 1.5, 2.0)] * 8
    others = [Outcome("elsewhere", "lora", True, 9.0, 9.0), Outcome("key", "full", True, 9, 9)]
    known = calibration([*others, *outcomes], "key", "lora", True)
    assert known.seconds.n == 8
    assert 1.5 < known.seconds.ratio < 2.0, "a few runs do not move it all the way"
    plain = forecast(candidate(), MACHINE, Prices(), probed=probed())
    moved = forecast(candidate(), MACHINE, Prices(), probed=probed(), known=known)
    ratio = moved.seconds.train.value / plain.seconds.train.value
    assert ratio == pytest.approx(known.seconds.ratio)
    assert moved.memory["train"].value > plain.memory["train"].value
    assert "8 earlier runs" in moved.how
    assert calibration(others, "key", "lora", True) == Calibration(Factor(), Factor())


def test_checkpointing_is_chosen_only_where_it_does_not_fit_else() -> None:
    settled, planned = config(), candidate(LLAMA_8B).work()
    needed = memory.phases(LLAMA_8B, settled, planned, "cpu", False)["train"]
    assert not decide(settled, LLAMA_8B, planned, "cpu", 2 * needed)
    assert decide(settled, LLAMA_8B, planned, "cpu", needed)
    never = config(gradient_checkpointing=False)
    assert not decide(never, LLAMA_8B, planned, "cpu", 1)
    assert decide(config(gradient_checkpointing=True), LLAMA_8B, planned, "cpu", 2 * needed)


def test_where_it_does_not_fit_changes_that_were_forecast_to_fit_are_named() -> None:
    tight = candidate(LLAMA_8B, batch_tokens=2048, gradient_checkpointing=False)
    plain = forecast(tight, MACHINE.limited(10**12), Prices())
    available = round(plain.peak.value * 0.98)
    one = forecast(tight, MACHINE.limited(available), Prices())
    assert not one.fits
    assert one.changes[0].setting.startswith("micro_batch_tokens = ")
    assert all(change.memory.high <= available for change in one.changes)
    settings_of = [change.setting.split(" = ")[0] for change in one.changes]
    assert len(set(settings_of)) == len(settings_of), "the least change of each kind"


def test_where_nothing_fits_nothing_is_promised() -> None:
    one = forecast(candidate(LLAMA_8B), MACHINE.limited(2**20), Prices())
    assert not one.fits
    assert one.changes == ()


def test_an_adapter_is_offered_where_all_weights_do_not_fit() -> None:
    def peak(settled: TuneConfig, checkpointing: bool) -> Range:
        return Range.within(1e9 if settled.method.type == "lora" else 9e9, 0.2)

    full = config(method={"type": "full"})
    (change,) = what_would_fit(full, 2 * 10**9, peak, 64, "cpu")
    assert change.setting == 'method = { type = "lora", r = 8, alpha = 16 }'


def request() -> probes.ProbeRequest:
    return probes.ProbeRequest("", None, None, "v", "b", {}, {}, "", None, 1.0, False)


def answered(returncode: int, stdout: str = "", stderr: str = "") -> Any:
    def run(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], returncode, stdout, stderr)

    return run


def test_a_probe_that_is_killed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = '{"phase": "load", "peak": 5, "settled": 4, "seconds": 1.0}\n'
    monkeypatch.setattr(subprocess, "run", answered(-9, loaded))
    found = probes.run_probe(request())
    assert isinstance(found, probes.NoProbe)
    assert found.memory and "memory" in found.why
    monkeypatch.setattr(subprocess, "run", answered(1, loaded, "Traceback\nValueError: no"))
    found = probes.run_probe(request())
    assert isinstance(found, probes.NoProbe)
    assert not found.memory and "ValueError: no" in found.why


def test_what_a_probe_measured_before_it_died_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        '{"phase": "load", "peak": 5, "settled": 4, "seconds": 1.0}\n'
        '{"phase": "ready", "layout": "blocks", "rows_share": 0.5}\n'
        '{"phase": "train", "peak": 9, "steps": [[2, 0.5], [0, 0.25]]}\n'
    )
    monkeypatch.setattr(subprocess, "run", answered(-9, lines))
    found = probes.run_probe(request())
    assert isinstance(found, Probed)
    assert found.step_seconds == ((2, 0.5), (0, 0.25))
    assert found.layout == "blocks"
    assert found.validation_seconds is None


def test_checkpointing_changes_no_loss_and_the_run_tells_its_memory(workspace: Workspace) -> None:
    from metier.core import ledger
    from metier.tune import tune
    from tiny_models import tiny_base

    made = version(workspace)

    def losses(wanted: bool | str) -> list[float]:
        chosen = settings(gradient_checkpointing=wanted, epochs=1, eval_task_examples=0)
        run = tune(chosen, made, workspace, tiny_base(), OBJECTIVE, resume=False)
        assert run.summary["gradient_checkpointing"] is (wanted is True)
        assert run.summary["peak_memory_bytes"] >= run.summary["memory_before_bytes"] > 0
        points = ledger.metric_points(workspace, run.id)
        return [p.value for p in points if p.name == "train_loss"]

    plain = losses("auto")
    assert losses(True) == pytest.approx(plain, rel=1e-6)
    assert all(math.isfinite(loss) for loss in plain)


@pytest.mark.slow
def test_the_benchmark_holds_forecasts_against_real_tunes() -> None:
    import re

    script = Path(__file__).resolve().parents[2] / "benchmarks" / "forecast.py"
    done = subprocess.run(
        [sys.executable, str(script), "--small"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"Within 20% of measured peak memory: (\d) of 2", done.stdout)
    assert found is not None and found.group(1) == "2", done.stdout
