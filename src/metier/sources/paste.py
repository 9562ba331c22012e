"""A source's config written as TOML, to be pasted into ``metier.toml``."""

from __future__ import annotations

import json
from typing import Any

from metier.sources.config import SourceConfig


def sources_line(config: SourceConfig) -> str:
    """Return ``sources = [{ path = …, prompt = … }]`` for the keys that are not at their default.

    Raises nothing: what a config holds can be written.
    """
    keys = config.model_dump(exclude_defaults=True, exclude_none=True)
    return f"sources = [{_inline(keys)}]"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(name)} = {_inline(one)}" for name, one in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    # A JSON string is a TOML basic string, but for the delete character (TOML 1.0, "String").
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _inline(name)
