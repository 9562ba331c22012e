"""Axolotl's config: the keys that decide the mask, and the files of its data sets."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from metier.core.errors import ConfigError, InputError, nearest
from metier.tune.inspect.others.files import data_files
from metier.tune.inspect.others.given import Given, Keys, keys_of, unsupported

When = Literal["all", "turn", "last", "none"]
FALLBACK = "tokenizer_default_fallback_"
SPLIT = re.compile(r"\w+(?:\[(\d*):(\d*)\])?")
ROLES = {
    **{"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"},
    **{"system": "system", "tool": "tool"},
}


class DataSet(Keys):
    """One entry of ``datasets``."""

    path: str = ""
    type: str | dict[str, Any] | None = None
    ds_type: str | None = None
    data_files: str | list[str] | None = None
    split: str | None = None
    field: str | None = None
    field_messages: str | None = None
    field_system: str | None = None
    message_property_mappings: dict[str, str] | None = None
    message_field_role: str | None = None
    message_field_content: str | None = None
    message_field_training: str | None = None
    message_field_training_detail: str | None = None
    roles_to_train: list[str] | None = Field(default_factory=lambda: ["assistant"])
    train_on_eos: When | None = "turn"
    train_on_eot: When | None = None
    roles: dict[str, list[str]] | None = None
    chat_template: str | None = None
    chat_template_jinja: str | None = None
    drop_system_message: bool | None = None

    @property
    def keys(self) -> dict[str, str]:
        """Which key of a message holds its role and its content."""
        mapped = dict(self.message_property_mappings or {})
        return {
            "role": self.message_field_role or mapped.get("role", "role"),
            "content": self.message_field_content or mapped.get("content", "content"),
        }

    @property
    def role_names(self) -> Mapping[str, str]:
        """Role as written -> role as the template knows it."""
        if not self.roles:
            return ROLES
        return {source: target for target, sources in self.roles.items() for source in sources}

    @property
    def kind(self) -> str:
        """The type's name, without its style."""
        return self.type.split(":")[0] if isinstance(self.type, str) else ""

    @property
    def part(self) -> slice:
        """The part of the rows that ``split`` asks for. Raises InputError for another form."""
        found = SPLIT.fullmatch(self.split or "train")
        if found is None:
            raise unsupported(f"split: {self.split}", "train and train[10:500] are read here")
        first, last = found.groups()
        return slice(int(first) if first else None, int(last) if last else None)


class Config(Keys):
    """The keys of Axolotl's config that decide the mask, with its defaults."""

    base_model: str = ""
    tokenizer_config: str | None = None
    datasets: list[DataSet] = Field(default_factory=list)
    sequence_len: int = Field(default=512, ge=1)
    train_on_inputs: bool | None = False
    chat_template: str | None = None
    chat_template_jinja: str | None = None
    eot_tokens: list[str] | None = None
    special_tokens: dict[str, Any] | None = None
    tokens: list[str] | None = None
    excess_length_strategy: Literal["drop", "truncate", "raise"] | None = None
    min_sample_len: int | None = None
    rl: str | bool | None = None


def read(given: Given) -> Config:
    """Read the config. Raises InputError or ConfigError for what cannot be shown."""
    if "pretraining_dataset" in given.values:
        raise unsupported("pretraining_dataset", "name the files under datasets with completion")
    config = keys_of(Config, given.values, given.path.name)
    if config.rl:
        raise unsupported(f"rl: {config.rl}", "supervised data sets are shown")
    if not config.datasets:
        raise ConfigError("datasets: a list with path and type", got="none", remedy="name them")
    return config


def files_of(of: DataSet, given: Given) -> list[Path]:
    """Return a data set's files. Raises InputError where they are not on this machine."""
    found = given.located(of.path)
    if found is not None and found.is_file():
        return [found]
    named = [of.data_files] if isinstance(of.data_files, str) else of.data_files or []
    folder = f"{of.path}/" if found is not None else ""
    places = [given.located(name) or given.located(folder + name) for name in named]
    here = [place for place in places if place is not None]
    if named and len(here) == len(named):
        return here
    if found is not None and not named:
        return data_files(found)
    raise InputError(
        "data on this machine",
        got=f"path: {of.path}" + (f", data_files: {of.data_files}" if named else ""),
        remedy="only local files are read: download it and name the file, or start in the folder "
        "the trainer is started in",
    )


@cache
def _named() -> dict[str, str]:
    text = (files(__package__) / "axolotl_templates.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def template_of(of: DataSet, config: Config, tokenizer: Any, given: Given) -> tuple[str, str]:
    """Return the chat template and its name for people. Raises InputError for an unknown one."""
    own = bool(of.chat_template or of.chat_template_jinja)
    name = of.chat_template if own else config.chat_template
    text = of.chat_template_jinja if own else config.chat_template_jinja
    if text and name in (None, "jinja"):
        place = given.located(text) if len(text) < 500 and "{" not in text else None
        return (place.read_text(encoding="utf-8") if place else text), "chat_template_jinja"
    name = name or "tokenizer_default"
    if name == "tokenizer_default" or name.startswith(FALLBACK):
        if tokenizer.chat_template:
            return str(tokenizer.chat_template), "the tokenizer's own"
        name = name.removeprefix(FALLBACK)
    known = _named()
    if name not in known:
        raise InputError(
            "a chat template that is known here",
            got=f"chat_template: {name}"
            + ("" if tokenizer.chat_template else ", of a tokenizer without one"),
            remedy=f"{nearest(name, known)}; or give it as chat_template_jinja",
        )
    return known[name], name
