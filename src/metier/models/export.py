"""Export: folders that other engines load.

An adapter goes out in PEFT's layout with the tokenizer beside it; merged, it is an ordinary model
folder in safetensors that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load without PEFT.
"""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from metier.core.artifacts import sync_directory
from metier.core.errors import InputError, ModelUnavailable, out_of_space
from metier.models import chat
from metier.models.adapters import base_for, load_adapter, load_apart
from metier.models.base import TOKENIZER_FILES, Base, find_base, fingerprint_folder, no_bars

VOCABULARIES = (".model", ".tiktoken")
TEMPLATE_FILE = "chat_template.jinja"


def check_free(into: Path) -> Path:
    """Return the absolute path. Raises InputError unless it is an empty folder or not there."""
    into = into.expanduser().absolute()
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        what = "a folder with files in it" if into.is_dir() else "a file"
        raise InputError(
            "a folder that is empty or does not exist yet",
            got=f"{into}, {what}",
            remedy="name another one, or remove it first",
        )
    return into


@contextmanager
def whole_folder(into: Path) -> Iterator[Path]:
    """Yield a folder to fill; it gets the name ``into`` when the block has ended well.

    Until then it lies beside ``into`` under another name; where the block raises it is removed.
    Raises InputError when ``into`` is there and not an empty folder, OutOfSpace on a full disk.
    """
    into = check_free(into)
    partial = into.with_name(f".{into.name}.{uuid4().hex[:8]}.partial")
    try:
        with out_of_space("exporting"):
            partial.mkdir(parents=True)
            yield partial
            partial.replace(into)
            sync_directory(into.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_merged(base: Base, adapter: Path, folder: Path, *, consume: bool = False) -> None:
    """Write base and adapter as one model, with the tokenizer, in the base's precision.

    ``consume`` as in ``merge``. Raises ModelUnavailable when the adapter was made for another base.
    """
    model = merge(base, adapter, consume=consume)
    with no_bars():
        model.save_pretrained(folder)
    base_for(base, adapter).tokenizer.save_pretrained(folder)


def merge(base: Base, adapter: Path, *, consume: bool = False) -> Any:
    """Return the base's model with the adapter's weights added to its own.

    The sum is taken in float32 whatever the base's precision, and rounded once. The base stays as
    it is, unless ``consume`` lets its own weights be written into: then one layer at a time is
    held twice, and not the model.
    """
    dtype = base.model.dtype
    if not consume:
        wide = replace(base, model=copy.deepcopy(base.model).float())
        return load_adapter(wide, adapter).to(dtype)
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = load_apart(base, adapter)
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer) and hasattr(layer, "merge"):
            layer.float()  # the adapter, and the one layer under it
            layer.merge()
            layer.to(dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(All|Already).*adapters (are already|were) merged")
        return model.merge_and_unload().to(dtype).eval()


def copy_tokenizer(name: str, fingerprint: str, folder: Path) -> None:
    """Put the tokenizer files and chat template of a base model into ``folder``.

    A base without a chat template gets the plain one it was trained with here. Raises
    ModelUnavailable when the base cannot be had or is not the one with that fingerprint.
    """
    source = find_base(name)
    found = fingerprint_folder(source)
    if found != fingerprint:
        raise ModelUnavailable(
            f"the base model {name} as it was when it was tuned ({fingerprint[:12]})",
            got=f"another one under that name ({found[:12]})",
            remedy="put the files back that were there, or tune again on the model of now",
        )
    for file in sorted(source.iterdir()):
        if file.name.startswith(TOKENIZER_FILES) or file.suffix in VOCABULARIES:
            shutil.copyfile(file, folder / file.name)
    if not _has_template(folder):
        (folder / TEMPLATE_FILE).write_text(chat.PLAIN_TEMPLATE, encoding="utf-8")


def _has_template(folder: Path) -> bool:
    if any(folder.glob("chat_template*")):
        return True
    settings = folder / "tokenizer_config.json"
    return settings.is_file() and bool(
        json.loads(settings.read_text(encoding="utf-8")).get("chat_template")
    )
