"""Model versions and their aliases."""

from metier.registry.types import ALIASES, Alias, Check, Manifest

__all__ = ["ALIASES", "Alias", "Check", "Manifest"]
