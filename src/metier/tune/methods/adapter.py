"""What LoRA, QLoRA and PEFT's other adapters share: put one on, go on from one, write it down.

A tune that starts from an adapter of the same shape goes on with its weights. From a LoRA of
another shape it trains a new one beside the old, which stays frozen; what is left is one adapter
that holds both, rank upon rank: s1 B1 A1 + s2 B2 A2 = [s1 B1, s2 B2] [A1; A2]. That is exact, and
it loads on the base alone, which a chain of adapters would not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metier.core.errors import ConfigError
from metier.core.types import Json
from metier.models.adapters import CONFIG, WEIGHTS, fitting, note_base, quiet, save_adapter
from metier.tune.methods.types import Beginning, Start

TRAINED, FROZEN = "default", "start"
# What may differ between an adapter and one that goes on with its weights.
FREE = {
    "base_model_name_or_path",
    "inference_mode",
    "init_lora_weights",
    "lora_dropout",
    "peft_version",
    "target_modules",  # compared by the layers they name
    "task_type",
}
EMBEDDINGS, HEAD = "embed_tokens", "lm_head"


def attach(model: Any, settings: Any, beginning: Beginning) -> Any:
    """Put an adapter on ``model`` (the caller's own copy) and go on from the start, if any.

    Raises ConfigError for layers that the model does not have, or a start that this adapter cannot
    go on from.
    """
    if beginning.new_tokens:
        _learn_tokens(model, settings, beginning.new_tokens)
    start = beginning.start
    if start is None:
        return _new(model, settings)
    _refuse_whole(start)
    if same_shape(settings, model, start):
        return _continued(model, beginning, start)
    return _beside(model, settings, beginning, start)


def _new(model: Any, settings: Any) -> Any:
    from peft import get_peft_model

    with quiet(), _named_layers(model, settings):
        return get_peft_model(model, settings)


def _continued(model: Any, beginning: Beginning, start: Start) -> Any:
    from peft import PeftModel

    with fitting(beginning.base, start.folder), quiet():
        return PeftModel.from_pretrained(model, str(start.folder), is_trainable=True)


def _beside(model: Any, settings: Any, beginning: Beginning, start: Start) -> Any:
    """Return the model with the start frozen and a new LoRA trained, both at work."""
    from peft import PeftModel

    _refuse_other_kinds(settings, start)
    with fitting(beginning.base, start.folder), quiet():
        adapted = PeftModel.from_pretrained(model, str(start.folder), adapter_name=FROZEN)
    with quiet(), _named_layers(model, settings):
        adapted.add_adapter(TRAINED, settings)
    adapted.set_adapter(TRAINED)
    adapted.base_model.set_adapter([FROZEN, TRAINED])
    for name, weight in adapted.named_parameters():
        weight.requires_grad_(f".{TRAINED}." in name or name.endswith(f".{TRAINED}"))
    return adapted


def same_shape(settings: Any, model: Any, start: Start) -> bool:
    """Say whether the start's weights are those of an adapter with these settings."""
    theirs, ours = (
        read_config(start.folder),
        json.loads(json.dumps(settings.to_dict(), default=list)),
    )
    # What is not given PEFT fills in itself, the same each time.
    given = {key for key in ours.keys() & theirs.keys() - FREE if ours[key] is not None}
    same = all(ours[key] == theirs[key] for key in given)
    wanted, there = (one.get("target_modules") for one in (ours, theirs))
    return same and (wanted is None or _layers(model, wanted) == _layers(model, there))


def _layers(model: Any, targets: Any) -> Any:
    """Return the paths of the layers that a setting names; a pattern stays as it is."""
    if targets == "all-linear":
        targets = sorted(linear_names(model))
    if not isinstance(targets, list):
        return targets
    return {
        path
        for path, _ in model.named_modules()
        if any(path == target or path.endswith(f".{target}") for target in targets)
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Return an adapter's configuration as PEFT wrote it."""
    found: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return found


def export(model: Any, beginning: Beginning, folder: Path) -> None:
    """Write the adapter in PEFT's layout, with the tokenizer where it brings tokens of its own."""
    base, start = beginning.base, beginning.start
    if FROZEN in model.peft_config and start is not None:
        _write_both(model, base, start, folder)
    else:
        save_adapter(model, base, folder)
    (folder / "README.md").unlink(missing_ok=True)
    _tidy(folder, base.name)
    if beginning.new_tokens:
        base.tokenizer.save_pretrained(folder)


def _tidy(folder: Path, name: str) -> None:
    settings = read_config(folder)
    # PEFT notes the folder the base was read from, which means nothing on another machine.
    settings["base_model_name_or_path"] = name
    for key in ("target_modules", "exclude_modules", "feedforward_modules", "modules_to_save"):
        if isinstance(settings.get(key), list):
            settings[key].sort()  # PEFT holds a set: its order would change the digest
    _write_config(folder, settings)


def _write_config(folder: Path, settings: Mapping[str, Json]) -> None:
    text = json.dumps(settings, indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text, encoding="utf-8")


def rescale(folder: Path, scale: float) -> None:
    """Multiply a LoRA's effect by ``scale``: its alpha, also where layers have one of their own.

    New tokens' embeddings stay as they are: half a word is no word.
    """
    settings = read_config(folder)
    settings["lora_alpha"] *= scale
    pattern: dict[str, float] = settings.get("alpha_pattern") or {}
    settings["alpha_pattern"] = {name: alpha * scale for name, alpha in pattern.items()}
    _write_config(folder, settings)


def _write_both(model: Any, base: Any, start: Start, folder: Path) -> None:
    """Write the frozen LoRA and the trained one as one of their ranks' sum, scaled by 1."""
    from safetensors.torch import save_file

    from metier.tune.methods.stacking import PREFIX, stacked

    old, new = model.peft_config[FROZEN], model.peft_config[TRAINED]
    weights = stacked(model, FROZEN, TRAINED)
    layers = {name.removeprefix(PREFIX).split(".lora_")[0] for name in weights}
    rank = old.r + new.r
    settings = new.to_dict() | {
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(layers),
        "inference_mode": True,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_rslora": False,
    }
    settings["peft_type"] = "LORA"
    save_file(weights, folder / WEIGHTS)
    _write_config(folder, settings)
    note_base(base, folder, {"holds": [start.name]})


def _learn_tokens(model: Any, settings: Any, tokens: tuple[int, ...]) -> None:
    """Have the rows of new tokens trained: of the embeddings, and of a head that is not tied."""
    if not hasattr(settings, "trainable_token_indices"):
        raise ConfigError(
            "an adapter that can learn embeddings of new tokens",
            got=f"peft_type {settings.peft_type.value}",
            remedy='take method = { type = "lora" } or "full", or no new tokens',
        )
    layers = {EMBEDDINGS: list(tokens)}
    if not model.config.tie_word_embeddings:
        layers[HEAD] = list(tokens)
    settings.trainable_token_indices = layers


def _refuse_whole(start: Start) -> None:
    if start.whole:
        raise ConfigError(
            "an adapter in [tune] start_from, to go on with an adapter",
            got=f"{start.name}, a whole model",
            remedy='take method = { type = "full" }, or export that run with '
            "`metier release export --merged` and name the folder in [project] base",
        )


def _refuse_other_kinds(settings: Any, start: Start) -> None:
    theirs = read_config(start.folder)
    if theirs.get("trainable_token_indices"):
        raise ConfigError(
            f"the settings of {start.name} in [tune] method, because it brings tokens of its own",
            got="others",
            remedy=f"take r = {theirs.get('r')}, alpha = {theirs.get('lora_alpha')} and the same "
            "targets",
        )
    kinds = {str(theirs.get("peft_type")), settings.peft_type.value}
    if kinds == {"LORA"} and not theirs.get("use_dora") and not settings.use_dora:
        return
    raise ConfigError(
        "an adapter to go on from with [tune] method's own settings, or a LoRA beside a LoRA",
        got=f"{start.name}: peft_type {theirs.get('peft_type')}, and {settings.peft_type.value} "
        "in [tune] method, of other settings",
        remedy="take the method and settings that the run was tuned with, or "
        'method = { type = "full" }',
    )


@contextmanager
def _named_layers(model: Any, settings: Any) -> Iterator[None]:
    """Turn PEFT's refusal of unknown layers into ConfigError that names the model's own."""
    try:
        yield
    except ValueError as error:
        if "not found in the base model" not in str(error):
            raise
        raise ConfigError(
            "names of this model's layers in [tune] method.targets",
            got=str(settings.target_modules),
            remedy='take targets = "all-linear", or some of '
            f"{', '.join(sorted(linear_names(model)))}",
        ) from error


def linear_names(model: Any) -> set[str]:
    """Return the last names of the model's linear layers, the head's left out."""
    import torch

    names = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    return names - {HEAD}
