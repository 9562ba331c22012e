"""Data sets of the Hugging Face hub by name, streamed through ``datasets``.

    path = "hub:owner/name?split=train&subset=en&revision=1a2b3c"

``hub:`` before a folder reads it the way ``datasets`` would. Code that a data set ships is never
run: versions of ``datasets`` that could are refused by pyproject.toml, and it is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from metier.core.errors import InputError, MetierError
from metier.core.types import Json
from metier.sources.addresses import HUB

KEYS = ("split", "subset", "revision")


def hub_rows(path: str, root: Path, limit: int | None) -> Iterator[Mapping[str, Json]]:
    """Yield the rows of a data set, at most ``limit`` of them, without holding it in memory.

    Raises InputError when it cannot be had, among others because the machine is offline.
    """
    name, keys = _parsed(path)
    folder = root / name
    try:
        yield from islice(_stream(str(folder) if folder.is_dir() else name, keys, path), limit)
    except MetierError:
        raise
    except Exception as error:  # datasets, the hub's client and HTTP each have their own
        raise InputError(
            "a data set of the hub that can be read",
            got=f"{path}: {_reason(error)}",
            remedy="check the name and the connection (a private one needs HF_TOKEN); on a machine "
            "without the internet, copy the files here and give their path",
        ) from error


def _parsed(path: str) -> tuple[str, dict[str, str]]:
    name, _, query = path.removeprefix(HUB).partition("?")
    keys = {key: values[-1] for key, values in parse_qs(query).items()}
    unknown = [key for key in keys if key not in KEYS]
    if not name or unknown:
        raise InputError(
            "a data set such as hub:owner/name?split=train",
            got=path,
            remedy=f"after the question mark: {', '.join(KEYS)}",
        )
    return name, keys


def _stream(name: str, keys: Mapping[str, str], path: str) -> Iterator[Mapping[str, Json]]:
    import datasets

    found: Any = datasets.load_dataset(
        name,
        keys.get("subset"),
        split=keys.get("split"),
        revision=keys.get("revision"),
        streaming=True,
    )
    if isinstance(found, dict):
        if len(found) != 1:
            raise InputError(
                "one split of the data set",
                got=f"{path}: it has {', '.join(map(str, found))}",
                remedy=f"name one, e.g. {HUB}{name}?split={next(iter(found))}",
            )
        found = next(iter(found.values()))
    yield from found


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{lines[0][:200]} ({type(error).__name__})" if lines else type(error).__name__
