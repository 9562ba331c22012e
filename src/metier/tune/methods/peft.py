"""Any adapter of PEFT: its own settings, checked against PEFT's own class before anything runs.

Left out are those that put tokens before the prompt (packed examples would share them), that
change the base's own weights (the adapter alone would not be the model), and that need more than
a forward pass from the trainer. Whether packing is right for the others is measured before each
tune, as for every model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metier.core.errors import ConfigError, nearest
from metier.models.adapters import shared_copy
from metier.tune.config import Peft, TuneConfig
from metier.tune.methods import adapter
from metier.tune.methods.types import Beginning

REFUSED = {
    "ADALORA": "it moves rank between layers while training, which the trainer does not do",
    "ADAPTION_PROMPT": "it puts learned tokens into the attention, which packed examples share",
    "OSF": "it replaces the base's own weights",
    "POLY": "it needs a task number with every example",
    "SHADOW": "it runs a second model beside the base, which packed examples share",
    "XLORA": "it mixes adapters that exist already; tune those, and evaluate each",
}
OWN = {"task_type", "inference_mode", "base_model_name_or_path", "auto_mapping", "revision"}
"""Settings that PEFT or metier fills in."""
CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "eva", "lora_ga")
"""Ways to begin a LoRA that take a part out of the base, or need data first."""


def check(config: TuneConfig) -> None:
    """Raise ConfigError for settings that PEFT does not know or that cannot be trained here."""
    settings(config.method)


@contextmanager
def trainable(config: TuneConfig, beginning: Beginning) -> Iterator[Any]:
    """Yield the base with the adapter on it; the weights beneath are shared and frozen."""
    model = shared_copy(beginning.base.model)
    with _refused_by_peft():
        adapted = adapter.attach(model, settings(config.method), beginning)
    yield adapted


def export(model: Any, config: TuneConfig, beginning: Beginning, folder: Path) -> None:
    """Write the adapter in PEFT's layout."""
    adapter.export(model, beginning, folder)


def settings(method: Any) -> Any:
    """Return PEFT's configuration for ``[tune] method.peft``. Raises ConfigError."""
    given = dict(method.peft) if isinstance(method, Peft) else {}
    kind = _class_of(str(given.pop("peft_type")).upper())
    known = {field.name for field in dataclasses.fields(kind) if field.init} - OWN
    for key in given:
        if key not in known:
            raise ConfigError(
                f"settings of PEFT's {kind.__name__} in [tune] method.peft",
                got=repr(key),
                remedy=nearest(key, known),
            )
    _refuse_changed_base(given)
    if "target_modules" in known and "target_modules" not in given and not _has_default(kind):
        given["target_modules"] = "all-linear"
    with _refused_by_peft():
        return kind(task_type="CAUSAL_LM", **given)


def _class_of(name: str) -> Any:
    from peft import PromptLearningConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    known = {one.value: kind for one, kind in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    if name not in known:
        raise ConfigError(
            "a type of adapter that the installed PEFT knows",
            got=f"peft_type = {name!r}",
            remedy=nearest(name, set(known) - set(REFUSED)),
        )
    why = REFUSED.get(name)
    if issubclass(known[name], PromptLearningConfig):
        why = "it puts learned tokens before the prompt, which packed examples would share"
    if why:
        raise ConfigError(
            "a type of adapter that can be trained on packed examples",
            got=f"peft_type = {name!r}: {why}",
            remedy="take LORA, IA3, VERA, OFT, LOKR or another that works inside the layers",
        )
    return known[name]


def _has_default(kind: Any) -> bool:
    """Whether PEFT knows itself which layers to take: for IA3 they are of two kinds."""
    return any(field.name == "feedforward_modules" for field in dataclasses.fields(kind))


def _refuse_changed_base(given: Mapping[str, Any]) -> None:
    begins = str(given.get("init_lora_weights", "")).lower()
    if begins.startswith(CHANGES_BASE):
        raise ConfigError(
            "an adapter that leaves the base's weights as they are",
            got=f"init_lora_weights = {begins!r}, which takes a part out of them, or needs data",
            remedy='leave it out, or take "gaussian" or "orthogonal"',
        )


@contextmanager
def _refused_by_peft() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ConfigError(
            "settings that PEFT accepts in [tune] method.peft",
            got=str(error).splitlines()[0],
            remedy="correct the setting; PEFT's documentation of this type says what it takes",
        ) from error
