"""The weights that are trained, to and from a checkpoint folder.

Of an adapter only its own are kept, of a full tune all of them, tied ones once. Where the weights
are divided among processes all of them must ask, and the whole is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, load_model, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from metier.models import reward
from metier.tune.devices.parts import put, whole

ADAPTER, MODEL = "adapter_model.safetensors", "model.safetensors"


def trained_weights(model: Any, keep: bool = True) -> dict[str, Tensor]:
    """Return what is trained, whole, by the name it is saved under.

    ``keep`` False takes part in putting divided weights together, and keeps nothing.
    """
    found: dict[str, Tensor] = {}
    for name, held in _held(model).items():
        value = whole(held)
        if keep:
            found[name] = (value.cpu() if isinstance(held, DTensor) else value).contiguous()
    return found


def save_weights(model: Any, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write what ``trained_weights`` found, and a reward model's head."""
    save_file(dict(weights), folder / _file(model))
    if (head := reward.head_of(model)) is not None:
        reward.save_head(head, folder)


def load_weights(model: Any, folder: Path) -> None:
    """Put a checkpoint's weights into the model, divided as the model is."""
    saved = load_file(folder / _file(model))
    held = _held(model)
    if any(isinstance(weight, DTensor) for weight in held.values()):
        for name, weight in held.items():
            put(saved[name], weight)
        return
    if _is_adapted(model):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, saved)
    else:
        load_model(model, folder / MODEL)
    if (head := reward.head_of(model)) is not None:
        reward.load_head(head, folder)


def checkpoint_bytes(model: Any) -> int:
    """Return about how large a checkpoint is: what ``save_weights`` writes, and two moments of
    AdamW for each trained weight."""
    trained = [p.numel() * p.element_size() for p in model.parameters() if p.requires_grad]
    return 3 * int(sum(trained)) + (1 << 18)


def _held(model: Any) -> dict[str, Tensor]:
    """What is trained as this process holds it."""
    if _is_adapted(model):
        from peft import get_peft_model_state_dict

        # "auto" would ask the hub whether the base's vocabulary has grown.
        found: dict[str, Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
        return found
    once: dict[int, tuple[str, Tensor]] = {}
    for name, weight in model.state_dict(keep_vars=True).items():
        once.setdefault(id(weight), (name, weight))
    return {name: weight.detach() for name, weight in once.values()}


def _file(model: Any) -> str:
    return ADAPTER if _is_adapted(model) else MODEL


def _is_adapted(model: Any) -> bool:
    return hasattr(model, "get_base_model")
