"""The trainer's state to and from a checkpoint folder: optimiser, schedule, random numbers.

An AdamW state is a few tensors per trained weight; they go into one safetensors file under
``<index>.<name>``, and what is not a tensor into JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

OPTIMIZER, GROUPS = "optimizer.safetensors", "optimizer.json"
SCHEDULER, RANDOM = "scheduler.json", "random.safetensors"


def write(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Write the state of optimiser and schedule, and that of the random numbers."""
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": torch.as_tensor(value).detach().cpu().contiguous()
        for index, values in state["state"].items()
        for name, value in values.items()
    }
    save_file(tensors, folder / OPTIMIZER)
    (folder / GROUPS).write_text(json.dumps(state["param_groups"]), encoding="utf-8")
    (folder / SCHEDULER).write_text(json.dumps(scheduler.state_dict()), encoding="utf-8")
    save_file(_random_state(), folder / RANDOM)


def read_optimizer(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Restore optimiser and schedule."""
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in load_file(folder / OPTIMIZER).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = json.loads((folder / GROUPS).read_text(encoding="utf-8"))
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    scheduler.load_state_dict(json.loads((folder / SCHEDULER).read_text(encoding="utf-8")))


def read_random(folder: Path) -> None:
    """Restore torch's random numbers (they only drive dropout: the data's order is planned)."""
    states = load_file(folder / RANDOM)
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _random_state() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states
