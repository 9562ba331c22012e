"""Base models: find one by name, load it, know it again.

A name is ``metier/tiny`` (bundled with the package), a folder in transformers format, or a name
on the model hub. Weights are read from safetensors only; nothing is unpickled and no code from a
model folder is run unless the project allows it.

    base = load_base("metier/tiny")
    base.encode(Conversation.of(("user", "Hello")))
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from metier.core.errors import ModelUnavailable
from metier.core.types import Conversation
from metier.models import chat

TINY = "metier/tiny"
TINY_PATH = Path(__file__).parent / "tiny"
# Context lengths above this in a config mean "not stated" more often than a real limit.
MOST_TOKENS = 1 << 20
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken"]
TOKENIZER_FILES = (
    "tokenizer",
    "special_tokens",
    "added_tokens",
    "vocab",
    "merges",
    "chat_template",
)
CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Base:
    """A loaded base model with its tokenizer.

    ``fingerprint`` is a hash over weights, tokenizer and chat template; ``max_tokens`` the context
    length; ``path`` the folder it was read from (None when built in memory).
    """

    model: Any
    tokenizer: Any
    name: str
    fingerprint: str
    max_tokens: int
    path: Path | None = None

    def encode(self, conversation: Conversation) -> list[int]:
        """Return the prompt's token ids, up to where the reply starts."""
        return chat.encode(self.tokenizer, conversation)


def load_base(name: str, *, allow_remote_code: bool = False) -> Base:
    """Load a base model: float32 on a CPU, bfloat16 on a GPU.

    Raises ModelUnavailable when it does not exist, cannot be reached, or is not a causal language
    model in safetensors format.
    """
    folder = find_base(name)
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            "a model folder with .safetensors weights",
            got=f"{folder} holding {_listing(folder)}",
            remedy="save the model with transformers' save_pretrained and name that folder",
        )
    model, tokenizer = _load(folder, name, allow_remote_code)
    return wrap(model, tokenizer, name, fingerprint=fingerprint_folder(folder), path=folder)


def load_without_weights(name: str, *, allow_remote_code: bool = False) -> Base:
    """Load what surrounds a base model: tokenizer, template and context length; ``model`` is None.

    Enough to encode with, whatever the size of the weights. Raises ModelUnavailable.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = find_base(name)
    options = {"local_files_only": True, "trust_remote_code": allow_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        config = AutoConfig.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnavailable(
            "a model folder with config.json and the tokenizer files",
            got=f"{name} ({folder}): {_first_line(error)}",
            remedy="check the folder, or use the bundled metier/tiny",
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = chat.PLAIN_TEMPLATE
    return Base(None, tokenizer, name, "", _context(config, tokenizer), folder)


def wrap(
    model: Any,
    tokenizer: Any,
    name: str,
    *,
    fingerprint: str | None = None,
    path: Path | None = None,
) -> Base:
    """Make a Base of a model and tokenizer that are in memory already."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = chat.PLAIN_TEMPLATE
    model.eval()
    print_of = fingerprint or _fingerprint_memory(model, tokenizer)
    return Base(model, tokenizer, name, print_of, _context(model.config, tokenizer), path)


def find_base(name: str) -> Path:
    """Return the local folder of a base model, downloading it from the hub where need be.

    Raises ModelUnavailable within seconds when the folder does not exist or the hub cannot be
    reached.
    """
    if name == TINY:
        return TINY_PATH
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name
    if looks_like_path or not name.strip():
        raise ModelUnavailable(
            "an existing model folder",
            got=f"base = {name!r}, and there is no such folder",
            remedy=f"correct [project] base, or use the bundled {TINY!r}",
        )
    return _from_hub(name)


def fingerprint_folder(folder: Path) -> str:
    """Hash weights, tokenizer, chat template and config of a model folder."""
    state = blake2b(digest_size=16)
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors" or file.name == "config.json" or _is_tokenizer(file):
            state.update(f"\0{file.name}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    state.update(block)
    return state.hexdigest()


def _is_tokenizer(file: Path) -> bool:
    return file.is_file() and file.name.startswith(TOKENIZER_FILES)


def _fingerprint_memory(model: Any, tokenizer: Any) -> str:
    state = blake2b(model.config.model_type.encode(), digest_size=16)
    for key, tensor in sorted(model.state_dict().items()):
        state.update(f"\0{key}\0".encode())
        state.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    state.update(str(tokenizer.chat_template).encode())
    state.update(repr(sorted(tokenizer.get_vocab().items())).encode())
    return state.hexdigest()


def _load(folder: Path, name: str, allow_remote_code: bool) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gpu = torch.cuda.is_available()
    options = {"local_files_only": True, "trust_remote_code": allow_remote_code}
    try:
        with no_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.bfloat16 if gpu else torch.float32,
                use_safetensors=True,
                **options,
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnavailable(
            "a causal language model that transformers can load",
            got=f"{name} ({folder}): {_first_line(error)}",
            remedy="check that the folder holds config.json, the tokenizer files and the weights",
        ) from error
    return model.to("cuda" if gpu else "cpu"), tokenizer


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep transformers' own progress bars off the terminal; metier has one progress stream."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True, allow_patterns=HUB_FILES))
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise _unavailable(name, _first_line(error)) from error
    _check_reachable(name)
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, etag_timeout=CONNECT_SECONDS))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise _unavailable(name, _first_line(error)) from error


def _check_reachable(name: str) -> None:
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE") == "1":
        raise _unavailable(name, "the hub is switched off by HF_HUB_OFFLINE")
    try:
        httpx.head(constants.ENDPOINT, timeout=CONNECT_SECONDS)
    except (httpx.HTTPError, OSError) as error:
        raise _unavailable(name, f"{constants.ENDPOINT} cannot be reached ({error})") from error


def _unavailable(name: str, why: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"the base model {name!r}, as a local folder or on the model hub",
        got=f"no folder of that name, no copy in the local cache, and {why}",
        remedy=f"give the path of a downloaded model in [project] base, go online, or use {TINY!r}",
    )


def _context(config: Any, tokenizer: Any) -> int:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    limits = [
        getattr(text, "max_position_embeddings", None),
        getattr(text, "n_positions", None),
        getattr(tokenizer, "model_max_length", None),
    ]
    known = [int(limit) for limit in limits if limit and limit < MOST_TOKENS]
    return min(known, default=4096)


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "") if names else "nothing"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
