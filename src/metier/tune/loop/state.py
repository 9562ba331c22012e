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

from metier.tune.devices.parts import divided_like, whole

OPTIMIZER, GROUPS = "optimizer.safetensors", "optimizer.json"
SCHEDULER, RANDOM = "scheduler.json", "random.safetensors"


def moments(optimizer: Any, keep: bool = True) -> dict[str, torch.Tensor]:
    """Return the optimiser's tensors, whole, by ``<index>.<name>``.

    Where they are divided among processes all must ask; ``keep`` False takes part and keeps none.
    """
    found: dict[str, torch.Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensor = whole(torch.as_tensor(value).detach())
            if keep:
                found[f"{index}.{name}"] = tensor.cpu().contiguous()
    return found


def write(folder: Path, tensors: dict[str, torch.Tensor], optimizer: Any, scheduler: Any) -> None:
    """Write the optimiser's ``moments`` and settings, the schedule, and the random numbers."""
    save_file(tensors, folder / OPTIMIZER)
    groups = optimizer.state_dict()["param_groups"]
    (folder / GROUPS).write_text(json.dumps(groups), encoding="utf-8")
    (folder / SCHEDULER).write_text(json.dumps(scheduler.state_dict()), encoding="utf-8")
    save_file(_random_state(), folder / RANDOM)


def read_optimizer(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Restore optimiser and schedule, the former divided as the weights are."""
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in load_file(folder / OPTIMIZER).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = divided_like(tensor, trained[int(index)])
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
