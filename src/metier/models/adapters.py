"""Adapters in PEFT's layout: keep them, load them, check that they belong to the base.

Beside PEFT's own two files lies ``metier.json`` with the fingerprint of the base that the adapter
was trained on; an adapter on another base would run and answer nonsense. An adapter that brings
tokens of its own also brings the tokenizer that knows them (``base_for``).
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from metier.core.errors import ModelUnavailable
from metier.core.types import Json
from metier.models.base import Base, no_bars

CONFIG, WEIGHTS, NOTE = "adapter_config.json", "adapter_model.safetensors", "metier.json"
TOKENIZER = "tokenizer.json"


def save_adapter(model: Any, base: Base, folder: Path) -> None:
    """Write a PEFT model's adapter to ``folder``, with the fingerprint of its base."""
    # "auto" would ask the hub whether the base's vocabulary has grown.
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    note_base(base, folder)


def note_base(base: Base, folder: Path, more: Mapping[str, Json] | None = None) -> None:
    """Say in ``folder`` which base the adapter is for, and ``more`` of how it came about."""
    note = {"base": base.name, "base_fingerprint": base.fingerprint, **(more or {})}
    (folder / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")


def load_adapter(base: Base, folder: Path) -> Any:
    """Return a model with the adapter on the base's weights; the base stays as it is.

    In float32 the adapter is merged, which is exact to rounding and faster: the layers it touches
    are copied, the others shared with the base. In lower precision it stays apart, and all of the
    base's weights are shared. Raises ModelUnavailable when it is not an adapter or belongs to
    another base.
    """
    import torch

    model = load_apart(base, folder)
    if next(base.model.parameters()).dtype == torch.float32 and _merges(model):
        _own_what_is_adapted(model)
        model = model.merge_and_unload()
    return model.eval()


def load_apart(base: Base, folder: Path) -> Any:
    """Return a model with the adapter beside the base's weights, as in training.

    The weights are the base's own tensors, however many adapters are loaded. Raises
    ModelUnavailable as ``load_adapter`` does.
    """
    from peft import PeftModel

    base = base_for(base, folder)
    with fitting(base, folder), quiet():
        model = PeftModel.from_pretrained(shared_copy(base.model), str(folder))
    return model.eval()


def base_for(base: Base, folder: Path) -> Base:
    """Return the base as the adapter knows it: with the tokens that the adapter brings, if any.

    Name and fingerprint stay the base's. Raises ModelUnavailable when the folder is no adapter,
    belongs to another base, or brings a vocabulary that is not the base's and more.
    """
    check_adapter(base, folder)
    if not (folder / TOKENIZER).is_file():
        return base
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    known, brought = base.tokenizer.get_vocab(), tokenizer.get_vocab()
    if any(brought.get(token) != number for token, number in known.items()):
        raise ModelUnavailable(
            f"an adapter whose vocabulary is that of {base.name} and more",
            got=f"{folder}, whose tokenizer numbers its {len(brought):,} tokens in another way",
            remedy="give the folder as the tune left it, with its own tokenizer files",
        )
    if len(brought) <= len(known):
        return base
    return replace(base, model=grown(base.model, len(tokenizer)), tokenizer=tokenizer)


def grown(model: Any, tokens: int) -> Any:
    """Return a copy whose embeddings have room for ``tokens`` tokens; new rows are zero."""
    import torch

    model = shared_copy(model)
    before = model.get_input_embeddings().weight.shape[0]
    if tokens > before:
        with no_bars(), quiet():
            model.resize_token_embeddings(tokens, mean_resizing=False)
        with torch.no_grad():
            for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
                if layer is not None:
                    layer.weight[before:] = 0
    return model


def shared_copy(model: Any) -> Any:
    """Copy a model's modules and settings; its weights stay the same tensors in memory.

    What is changed on the copy (layers replaced, parameters frozen, another attention) leaves the
    model alone; what is written *into* a weight does not.
    """
    import torch

    held: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    for weight in model.parameters():
        held[id(weight)] = torch.nn.Parameter(weight.data, requires_grad=weight.requires_grad)
    return copy.deepcopy(model, held)


def _merges(model: Any) -> bool:
    """Whether every adapted layer can take the adapter into its weights."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    settings = model.peft_config[model.active_adapter]
    return settings.peft_type.value not in APART and all(hasattr(one, "merge") for one in layers)


APART = frozenset({"BEFT", "LILY", "SHADOW"})
"""PEFT types that cannot be merged: they depend on the input, or need a bias that is not there."""


def _own_what_is_adapted(model: Any) -> None:
    """Give the layers under the adapter weights of their own, that merging may write into."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            for weight in layer.get_base_layer().parameters():
                weight.data = weight.data.clone()


@contextmanager
def fitting(base: Base, folder: Path) -> Iterator[None]:
    """Say in words that an adapter does not fit the base, where PEFT's loading finds out."""
    try:
        yield
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise ModelUnavailable(
            f"an adapter that fits {base.name}",
            got=f"{folder}: {_misfit(str(error))}",
            remedy="tune again on this base, or name the base the adapter was trained on",
        ) from error


def _misfit(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    vocabulary = [line for line in lines if "embed" in line or "lm_head" in line]
    return (vocabulary or [line for line in lines if "size mismatch" in line] or lines or ["?"])[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back a warning that is nobody's business."""
    with warnings.catch_warnings():
        # PEFT asks transformers for a name that transformers is about to drop.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


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
