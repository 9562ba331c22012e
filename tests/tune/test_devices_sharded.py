"""FSDP2 on two gloo processes: each holds a part of the weights, gradients are those of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
from metier.tune.devices.shard import held, shard, whole
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


def on_two(code: str) -> Any:
    """Run code in two processes as torchrun does; return what the first printed."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    child = [sys.executable, "-c", code, str(HERE), str(HERE.parent)]
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
