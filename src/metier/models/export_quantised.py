"""Quantised export: linear layers as 8- or 4-bit integers with a scale, the rest as it is.

    save_quantised(merged, folder, bits=8)
    load_base(str(folder))              # or `vllm serve folder`

The folder is in the ``compressed-tensors`` layout (format "pack-quantized", weights only;
github.com/vllm-project/compressed-tensors), which vLLM and transformers load by themselves.
Rounding is to the nearest step, after choosing for each scale, among a few, the clipping with the
least squared error; no calibration data is needed, and none is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metier.models.base import Base, no_bars

Bits = Literal[4, 8]
GROUPS = (128, 64, 32)
"""Sizes of groups that share a scale, which engines have kernels for; the largest that divides
every layer's inputs is taken, and one scale per row where none does."""
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
"""Shares of a group's largest weight that the largest step may stand for."""
HEAD = "lm_head"
SHARD_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Quantised:
    """What was written: layers made small, the size of a group (None: one scale per row), and the
    root mean square error as a share of the root mean square weight."""

    layers: int
    group: int | None
    error: float


def save_quantised(base: Base, folder: Path, bits: Bits = 8) -> Quantised:
    """Write a whole model with its linear layers (all but the head) in ``bits`` bits."""
    names = dict(_layers(base.model))
    group = _group([module.in_features for module in names.values()])
    state, squares, weights = {}, 0.0, 0.0
    for key, tensor in base.model.state_dict().items():
        name, _, part = key.rpartition(".")
        if name not in names or part != "weight":
            if not (key == f"{HEAD}.weight" and base.model.config.tie_word_embeddings):
                state[key] = tensor.detach().cpu().contiguous()
            continue
        steps, scales = round_weight(tensor.detach().float(), bits, group)
        wanted = tensor.detach().float()
        squares += float((wanted - restored(steps, scales)).square().sum())
        weights += float(wanted.square().sum())
        state |= _packed(name, steps, scales.to(tensor.dtype), bits)
    _write(base, state, folder, _settings(bits, group))
    return Quantised(len(names), group, (squares / max(weights, 1e-30)) ** 0.5)


def round_weight(weight: Any, bits: Bits, group: int | None) -> tuple[Any, Any]:
    """Return (steps, scales): int8 [out, in] and float32 [out, groups], symmetric around zero.

    A value is ``step * scale``; steps run from -2^(bits-1) to 2^(bits-1) - 1.
    """
    import torch

    rows, columns = weight.shape
    parts = weight.reshape(rows, -1, group or columns)
    most = parts.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    top = 2 ** (bits - 1)
    least = torch.full_like(most, float("inf"))
    steps, scales = torch.zeros_like(parts), most
    for clip in CLIPS if bits == 4 else CLIPS[:1]:
        # As compressed-tensors has it: the range of 2^bits - 1 steps lies around zero.
        scale = most * clip / (top - 0.5)
        tried = (parts / scale).round().clamp(-top, top - 1)
        error = (tried * scale - parts).square().sum(-1, keepdim=True)
        better = error < least
        least = torch.where(better, error, least)
        steps, scales = torch.where(better, tried, steps), torch.where(better, scale, scales)
    return steps.reshape(rows, columns).to(torch.int8), scales.squeeze(-1)


def restored(steps: Any, scales: Any) -> Any:
    """Return the float32 weights that steps and scales stand for."""
    rows, columns = steps.shape
    parts = steps.float().reshape(rows, scales.shape[1], -1) * scales[..., None]
    return parts.reshape(rows, columns)


def pack(steps: Any, bits: Bits) -> Any:
    """Pack int8 steps [out, in] into int32 [out, in * bits / 32], lowest bits first, from zero up
    (compressed-tensors, pack_quantized/helpers.py)."""
    import torch

    each = 32 // bits
    rows, columns = steps.shape
    padded = torch.nn.functional.pad(steps.int() + 2 ** (bits - 1), (0, -columns % each))
    parts = padded.reshape(rows, -1, each).long() & (2**bits - 1)
    shifts = torch.arange(each, device=steps.device) * bits
    words = (parts << shifts).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).int()


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] != HEAD:
            yield name, module


def _group(inputs: list[int]) -> int | None:
    return next((size for size in GROUPS if all(n % size == 0 for n in inputs)), None)


def _packed(name: str, steps: Any, scales: Any, bits: Bits) -> dict[str, Any]:
    import torch

    return {
        f"{name}.weight_packed": pack(steps, bits).cpu(),
        f"{name}.weight_scale": scales.cpu().contiguous(),
        f"{name}.weight_shape": torch.tensor(steps.shape),
    }


def _settings(bits: Bits, group: int | None) -> dict[str, Any]:
    weights = {
        "num_bits": bits,
        "type": "int",
        "symmetric": True,
        "strategy": "channel" if group is None else "group",
        "group_size": group,
        "dynamic": False,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "ignore": [HEAD],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }


def _write(base: Base, state: dict[str, Any], folder: Path, settings: dict[str, Any]) -> None:
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    config = json.loads(base.model.config.to_json_string(use_diff=False))
    config["quantization_config"] = settings
    config["dtype"] = str(base.model.dtype).removeprefix("torch.")
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    with no_bars():
        base.model.generation_config.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    plan = split_torch_state_dict_into_shards(state, max_shard_size=SHARD_BYTES)
    for file, keys in plan.filename_to_tensors.items():
        save_file({key: state[key] for key in keys}, folder / file, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        text = json.dumps(index, indent=1)
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
