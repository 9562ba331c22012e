"""Another trainer's config: read safely, told apart, and its keys checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from metier.core.errors import ConfigError, InputError

Trainer = Literal["LLaMA-Factory", "Axolotl"]
KEYS: dict[Trainer, frozenset[str]] = {
    "LLaMA-Factory": frozenset(
        {"model_name_or_path", "dataset", "dataset_dir", "template", "cutoff_len", "stage"}
        | {"finetuning_type", "train_on_prompt", "mask_history"}
    ),
    "Axolotl": frozenset(
        {"base_model", "datasets", "sequence_len", "train_on_inputs", "sample_packing"}
        | {"adapter", "chat_template", "micro_batch_size", "val_set_size"}
    ),
}


class Keys(BaseModel):
    """The keys of a config that decide the mask; the others are the trainer's business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


@dataclass(frozen=True)
class Given:
    """A config file: whose it is, what it holds, where it lies."""

    trainer: Trainer
    values: Mapping[str, Any]
    path: Path

    @property
    def folders(self) -> list[Path]:
        """Where relative paths may start: the current folder, and the config's and those above."""
        return list(dict.fromkeys([Path.cwd(), *self.path.resolve().parents]))

    def located(self, name: str) -> Path | None:
        """Return the file or folder of that name, from the current folder or near the config."""
        if not name.strip():
            return None
        places = (folder / Path(name).expanduser() for folder in self.folders)
        return next((place for place in places if place.exists()), None)


def read_given(path: Path) -> Given:
    """Read a YAML (or JSON) config and tell whose it is.

    Raises InputError where it is no mapping, or neither trainer's.
    """
    import yaml

    if not path.is_file():
        raise InputError("a config file", got=f"{path}, which is none", remedy="check the name")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise InputError(
            "a config in YAML", got=f"{path}{line}: {problem}", remedy="repair it there"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("a config in UTF-8", got=str(path), remedy="save it as UTF-8") from error
    if not isinstance(values, dict):
        raise InputError(
            "a config of keys and values",
            got=f"{path}, which holds {type(values).__name__}",
            remedy="give the file you would give the trainer",
        )
    return Given(_whose(values, path), values, path)


def _whose(values: Mapping[str, Any], path: Path) -> Trainer:
    score = {trainer: len(keys & values.keys()) for trainer, keys in KEYS.items()}
    best = max(KEYS, key=lambda trainer: score[trainer])
    if score[best] < 2 or len(set(score.values())) == 1:
        raise InputError(
            "a training config of LLaMA-Factory (model_name_or_path, dataset, ...) or Axolotl "
            "(base_model, datasets, ...)",
            got=f"{path} with the keys {', '.join(map(str, list(values)[:8])) or 'none'}",
            remedy="give the YAML file that the trainer is started with",
        )
    return best


K = TypeVar("K", bound=Keys)


def keys_of(kind: type[K], values: Mapping[str, Any], place: str) -> K:
    """Read the keys that matter. Raises ConfigError naming the first that is wrong."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"a value that fits {name}",
            got=f"{place}: {first['msg']} (input: {str(first.get('input'))[:60]})",
            remedy=f"correct {name} in that file",
        ) from error


def unsupported(what: str, remedy: str) -> InputError:
    """Say that something of the trainer is not shown here."""
    return InputError("data of a kind that can be shown here", got=what, remedy=remedy)
