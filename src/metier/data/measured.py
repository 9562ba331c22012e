"""What earlier versions measured on, so that later ones do not train on it.

Frozen splits can be read again for as long as their version is there; rows that several versions
share are compared once.
"""

from __future__ import annotations

from collections.abc import Iterator

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.records import CASE_SLICE, DataVersion
from metier.core.types import Example
from metier.core.workspace import Workspace
from metier.data.config import DataConfig
from metier.data.leakage import LEARNED, Gate, Side
from metier.data.sides import SETTINGS


def gate_of(config: DataConfig, ws: Workspace, *, until: str | None = None) -> Gate:
    """Return the leakage gate for a build with these settings; ``until``: for that version."""
    rules = config.duplicate_rules
    semantic = None if rules.semantic == "off" else rules.semantic
    embedder = None
    if semantic is not None:
        from metier.similarity.embeddings import make_embedder

        embedder = make_embedder(rules.embedder)
    before = tuple(
        side
        for side in measured_before(ws, config)
        if until is None or (side.version is not None and side.version < until)
    )
    return Gate(config.near_leakage, before, semantic, embedder, ws.sealed.group_hash, rules.slips)


def measured_before(ws: Workspace, config: DataConfig) -> Iterator[Side]:
    """Yield what earlier versions measured on, oldest first: tests, challenges, held-back cases.

    A version that was frozen without settings of [data] binds nobody.
    """
    asked = config.model_dump(mode="json")
    seen: set[str] = set()
    for version in ledger.list_versions(ws) if config.earlier != "none" else ():
        same = all(version.config.get(name) == asked[name] for name in SETTINGS)
        if "seed" not in version.config or not (same or config.earlier == "every"):
            continue
        for split, artifact in version.splits.items():
            if split not in LEARNED and artifact not in seen:
                seen.add(artifact)
                rows = _fresh(ws, version, split, seen)
                if rows:
                    yield Side(split, rows, version.id)


def _fresh(ws: Workspace, version: DataVersion, split: str, seen: set[str]) -> list[Example]:
    """Return the split's rows that no version before had; none when they were erased."""
    try:
        rows = ledger.load_split(ws, version, split)
    except NotFound:
        return []
    fresh = [
        row
        for row in rows
        if row.content_hash not in seen and row.slices.get(CASE_SLICE) != "learned"
    ]
    seen.update(row.content_hash for row in fresh)
    return fresh
