"""How alike texts are: exact keys, near duplicates; vectors in ``embeddings``."""

from typing import Any

from metier.similarity.keys import exact_key, normalise

__all__ = ["exact_key", "near_duplicates", "normalise"]


def __getattr__(name: str) -> Any:
    if name == "near_duplicates":  # numpy is loaded only when it is needed
        from metier.similarity.near import near_duplicates

        return near_duplicates
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
