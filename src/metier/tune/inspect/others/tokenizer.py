"""The tokenizer of another trainer's base model: local files only, nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metier.core.errors import ModelUnavailable
from metier.models.base import HUB_FILES, TINY, TINY_PATH
from metier.tune.inspect.others.given import Given


def load_tokenizer(name: str, given: Given) -> Any:
    """Load the tokenizer of a model folder, of a model in the local hub cache, or the bundled one.

    Raises ModelUnavailable where it is none of these.
    """
    from transformers import AutoTokenizer

    folder = _folder(name, given)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnavailable(
            "a folder with tokenizer files that transformers can load",
            got=f"{name}: {(str(error).strip() or type(error).__name__).splitlines()[0]}",
            remedy="name another with --model",
        ) from error


def _folder(name: str, given: Given) -> Path:
    if name == TINY:
        return TINY_PATH
    found = given.located(name)
    if found is not None and found.is_dir():
        return found
    cached = _cached(name)
    if cached is not None:
        return cached
    raise ModelUnavailable(
        "a model whose tokenizer is on this machine",
        got=f"{name!r}: no folder of that name, and no copy in the local hub cache",
        remedy="give the folder of a downloaded model (its tokenizer files are enough) with "
        f"--model, or --model {TINY} to see the mask with the bundled tokenizer",
    )


def _cached(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True, allow_patterns=HUB_FILES))
    except (LocalEntryNotFoundError, HFValidationError, OSError, ValueError):
        return None
