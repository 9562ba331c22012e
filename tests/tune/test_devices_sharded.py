"""FSDP2 on two gloo processes: each holds a part of the weights; the run is that of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import OBJECTIVE, settings, version
from devices_cases import losses, process_of_rank, project, started, wait_for

from desk import run
from metier.core import ledger
from metier.core.errors import ConfigError
from metier.core.workspace import Workspace
from metier.models.adapters import load_adapter
from metier.models.base import Base, load_base
from metier.tune.devices.allowed import require_divisible
from metier.tune.devices.world import RankLost, World
from metier.tune.methods.start import load_whole
from metier.tune.run import tune as tune_here
from tiny_models import tiny_base

HERE = Path(__file__).parent
CHILD = """
import json, sys
from copy import deepcopy
from dataclasses import replace
sys.path[:0] = sys.argv[1:]
import torch
from cases import settings
from tiny_models import tiny_base
from metier.tune.devices.share import divided
from metier.tune.devices.parts import whole
from metier.tune.devices.shard import held, shard
from metier.tune.devices.world import joined
from metier.tune.methods.trainable import trainable
from metier.tune.packing import attention, passes
from metier.tune.types import Encoded

def rows():
    draw = torch.Generator().manual_seed(3)
    for number, length in enumerate((9, 31, 17, 5, 23)):
        ids = torch.randint(4, 400, (length,), generator=draw).tolist()
        yield Encoded(str(number), tuple(ids), (False,) * 3 + (True,) * (length - 3))

def backward(model, examples, weight):
    one = passes.lay_out(examples, "segments")
    losses, _ = passes.token_losses(model, one)
    ((losses * one.weights).sum() / weight).backward()

def measured(world, method):
    examples = list(rows())
    weight = sum(sum(e.supervised) for e in examples)
    with trainable(tiny_base(), settings(method={"type": method})) as trained:
        model = deepcopy(trained)
    if method == "lora":  # B starts at zero, and A would have no gradient
        draw = torch.Generator().manual_seed(5)
        for name, p in model.named_parameters():
            if "lora_B" in name: p.data.normal_(0, 0.1, generator=draw)
    passes.use(model, "segments", "sdpa")
    one = deepcopy(model)
    backward(one, examples, weight)
    expected = {n: p.grad for n, p in one.named_parameters() if p.grad is not None}
    everything = sum(p.numel() for p in one.parameters())
    shard(model, world)
    share = divided(range(5), [e.tokens for e in examples], world.size)[world.rank]
    backward(model, [examples[at] for at in share], weight)
    found = {n: whole(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    apart = max(float((found[n] - expected[n]).abs().max()) for n in expected)
    largest = max(float(g.abs().max()) for g in expected.values())
    return {"held": held(model), "all": everything, "apart": apart, "largest": largest}

attention.register()
with joined(True) as world:
    found = world.gather({m: measured(world, m) for m in ("full", "lora")})
    if world.leads: print(json.dumps(found))
"""


def on_two(code: str, *words: str) -> Any:
    """Run code in two processes as torchrun does; return what the first printed."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    child = [sys.executable, "-c", code, str(HERE), str(HERE.parent), *words]
    done = subprocess.run(
        [sys.executable, *start, *child],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def sharded() -> Any:
    return on_two(CHILD)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_each_process_holds_a_part_and_gradients_are_those_of_one(
    sharded: Any, method: str
) -> None:
    parts = [process[method] for process in sharded]
    assert all(part["held"] < 0.6 * part["all"] for part in parts)
    assert sum(part["held"] for part in parts) == parts[0]["all"]
    assert all(part["apart"] < 1e-5 for part in parts)
    assert parts[0]["largest"] > 1e-3, "there is something to compare"


SHARDED = ("--devices", "2", "--shard")


def test_a_sharded_tune_whose_process_dies_is_gone_on_with_on_one_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, capsys, "lora", "epochs = 6\nmicro_batch_tokens = 64\n")
    alone = tuned(folder, capsys)
    killed = started(folder, "--restart", *SHARDED)
    wait_for(lambda: list(folder.rglob("checkpoint-*[0-9]")) or killed.poll() is not None)
    os.kill(process_of_rank(killed.pid, 1), signal.SIGKILL)
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == RankLost.exit_code, err
    assert "is not measured while training" in err
    again = tuned(folder, capsys)
    assert again["id"] != alone["id"] and again["summary"]["resumed_at"] > 0
    expected = losses(folder, alone["id"])
    assert len(expected) > 20
    assert losses(folder, again["id"]) == pytest.approx(expected, abs=1e-5)
    kept = [replies(folder, one["adapter"]) for one in (alone, again)]
    assert kept[0] == pytest.approx(kept[1], abs=1e-3)


def tuned(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    code, out, err = run(capsys, "tune", "--project", str(folder), "--json")
    assert code == 0, err
    return json.loads(out)


def replies(folder: Path, adapter: str) -> list[float]:
    """A few logits of the base with what a tune left."""
    base = load_base(str(folder / "base"))
    with Workspace.open(folder) as ws:
        model = load_adapter(base, ws.artifacts.checkout(adapter))
    with torch.no_grad():
        found: list[float] = model(torch.arange(4, 40)[None]).logits[0, :, 7].tolist()
    return found


TUNED = """
import json, sys
from copy import deepcopy
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from cases import OBJECTIVE, settings
from tiny_models import tiny_base
from metier.core import ledger
from metier.core.workspace import Workspace
from metier.tune.devices.world import joined
from metier.tune.run import Conditions, tune

with joined(True) as world, Workspace.open(Path(sys.argv[3])) as ws:
    found = [
        [
            tune(
                settings(**one), ledger.get_version(ws), ws, tiny_base(), OBJECTIVE,
                resume=stop is None, under=Conditions(pause_at=stop, world=world),
            ).id
            for stop in (3, None)
        ][1]
        for one in json.loads(sys.argv[4])
    ]
    if world.leads: print(json.dumps(found))
"""
FULL = {"method": {"type": "full"}, "lr": 1e-3, "epochs": 2, "eval_every": 2}
KINDS: list[dict[str, Any]] = [
    {"method": {"type": "lora", "r": 4}, "lr": 1e-3, "micro_batch_tokens": 64},
    FULL | {"gradient_checkpointing": True, "max_grad_norm": 0.5},
]


def test_a_tune_on_shards_stopped_and_gone_on_with_is_that_of_one_process(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as ws:
        found = version(ws)
        base = tiny_base()
        alone = [tune_here(settings(**one), found, ws, base, OBJECTIVE) for one in KINDS]
    both = on_two(TUNED, str(tmp_path), json.dumps(KINDS))
    with Workspace.open(tmp_path) as ws:
        runs = [ledger.get_run(ws, name) for name in both]
        assert all(run.summary["sharded"] and run.summary["resumed_at"] == 3 for run in runs)
        places = [
            [ws.artifacts.checkout(str(run.adapter)) for run in pair]
            for pair in zip(alone, runs, strict=True)
        ]
    for one, name in zip(alone, both, strict=True):
        assert losses(tmp_path, name) == pytest.approx(losses(tmp_path, one.id), rel=1e-5, abs=1e-5)
    for kind, pair in zip(KINDS, places, strict=True):
        left = [opened(kind, base, place) for place in pair]
        for (name, expected), weight in zip(
            left[0].named_parameters(), left[1].parameters(), strict=True
        ):
            assert torch.allclose(weight, expected, atol=1e-4), name


def opened(kind: dict[str, Any], base: Base, folder: Path) -> Any:
    return load_adapter(base, folder) if kind["method"]["type"] == "lora" else load_whole(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": {"type": "qlora"}}, "method = lora or full .* with --shard"),
        ({"algorithm": {"type": "dpo"}}, "algorithm = sft .* with --shard"),
        ({"method": {"type": "full", "scale": 0.5}}, "scale = 1 with --shard"),
        ({"start_from": "run_1"}, "base's own weights with --shard"),
        ({"best_by": "accuracy"}, "best_by = .* with --shard"),
    ],
)
def test_what_was_not_shown_to_work_on_shards_is_refused(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        require_divisible(settings(**change), World(0, 2, sharded=True))


def test_replicas_of_a_full_tune_are_refused_with_the_way_that_works() -> None:
    with pytest.raises(ConfigError, match="add --shard"):
        require_divisible(settings(method={"type": "full"}), World(0, 2))


def test_the_plan_and_the_explanation_say_what_a_device_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(project(tmp_path, capsys, "lora"))
    code, out, err = run(capsys, "tune", "--project", folder, "--dry-run", "--json", *SHARDED)
    assert code == 0, err
    planned = json.loads(out)
    assert (planned["devices"], planned["sharded"]) == (2, True)
    assert planned["held_parameters"] == -(-planned["parameters"] // 2)
    code, out, _ = run(capsys, "tune", "--project", folder, "--explain", "--json", *SHARDED)
    rows = {row["key"]: row for row in json.loads(out)}
    assert (rows["shard"]["value"], rows["shard"]["origin"]) == (True, "--shard")
    code, _, err = run(capsys, "tune", "--project", folder, "--shard")
    assert code == 2 and "--devices 2" in err
