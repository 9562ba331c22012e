"""Adapters in PEFT's layout: keep them, load them, check that they belong to the base.

Beside PEFT's own two files lies ``metier.json`` with the fingerprint of the base that the adapter
was trained on; an adapter on another base would run and answer nonsense.
"""

from __future__ import annotations

import copy
import json
import warnings
from hashlib import blake2b
from pathlib import Path
from typing import Any

from metier.core.errors import ModelUnavailable
from metier.models.base import Base

CONFIG, WEIGHTS, NOTE = "adapter_config.json", "adapter_model.safetensors", "metier.json"


def save_adapter(model: Any, base: Base, folder: Path) -> None:
    """Write a PEFT model's adapter to ``folder``, with the fingerprint of its base."""
    model.save_pretrained(folder, safe_serialization=True)
    note = {"base": base.name, "base_fingerprint": base.fingerprint}
    (folder / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")


def load_adapter(base: Base, folder: Path) -> Any:
    """Return a copy of the base's model with the adapter on it; the base stays as it is.

    In float32 the adapter is merged into the weights, which is exact to rounding and faster; in
    lower precision it stays apart. Raises ModelUnavailable when it is not an adapter or belongs
    to another base.
    """
    import torch

    model = load_apart(base, folder)
    if next(base.model.parameters()).dtype == torch.float32:
        model = model.merge_and_unload()
    return model.eval()


def load_apart(base: Base, folder: Path) -> Any:
    """Return a copy of the base's model with the adapter beside its weights, as in training.

    Raises ModelUnavailable as ``load_adapter`` does.
    """
    from peft import PeftModel

    check_adapter(base, folder)
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers for a name that transformers is about to drop.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            model = PeftModel.from_pretrained(copy.deepcopy(base.model), str(folder))
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise ModelUnavailable(
            f"an adapter that fits {base.name}",
            got=f"{folder}: {str(error).splitlines()[0]}",
            remedy="tune again on this base, or name the base the adapter was trained on",
        ) from error
    return model.eval()


def is_adapter(folder: Path) -> bool:
    """Say whether ``folder`` holds an adapter (and not a whole model)."""
    return (folder / CONFIG).is_file()


def check_adapter(base: Base, folder: Path) -> None:
    """Raise ModelUnavailable unless ``folder`` holds an adapter made for this base."""
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailable(
            "an adapter folder in PEFT layout",
            got=f"{folder} without {' and '.join(missing)}",
            remedy="give the folder that a tune left, e.g. from `metier tune`",
        )
    note = folder / NOTE
    if not note.is_file():
        return
    made_for = json.loads(note.read_text(encoding="utf-8"))
    if made_for["base_fingerprint"] != base.fingerprint:
        raise ModelUnavailable(
            f"an adapter made for {base.name} ({base.fingerprint[:12]})",
            got=f"one made for {made_for['base']} ({made_for['base_fingerprint'][:12]})",
            remedy="set [project] base to the model the adapter was trained on, or tune again",
        )


def fingerprint_adapter(folder: Path) -> str:
    """Hash an adapter's weights and configuration."""
    state = blake2b(digest_size=16)
    for name in (CONFIG, WEIGHTS):
        state.update(f"\0{name}\0".encode())
        state.update((folder / name).read_bytes())
    return state.hexdigest()
