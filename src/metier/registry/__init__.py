"""Model versions and their aliases.

release = create_release(ws, manifest, gate)
get_release(ws, "champion"), aliases(ws), verify(ws, release)
"""

from metier.registry.releases import (
    aliases,
    create_release,
    get_release,
    list_releases,
    load_manifest,
    lock_aliases,
    point_alias,
    verify,
)
from metier.registry.types import ALIASES, Alias, Check, Manifest

__all__ = [
    "ALIASES",
    "Alias",
    "Check",
    "Manifest",
    "aliases",
    "create_release",
    "get_release",
    "list_releases",
    "load_manifest",
    "lock_aliases",
    "point_alias",
    "verify",
]
