"""Rows keep their side: what an earlier version measured on stays what is measured on.

A build that asks for the same sizes and seed as an earlier version puts each row that is still
there where it was, so that new rows and cases leave the sealed test set as it is. A row is known
by its id, or by its content once the source file has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.records import DataVersion
from metier.core.types import SPLITS, Example
from metier.core.workspace import Workspace
from metier.data.config import DataConfig

SETTINGS = ("test", "validation", "seed", "newest")
"""The settings of [data] that decide who goes where; with others the split is drawn anew."""
DEFAULTS: Mapping[str, str] = {"newest": ""}
"""What versions meant that were frozen before the setting was there."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Who was where in an earlier version made with these settings; empty: there is none."""

    by_id: Mapping[str, str] = field(default_factory=dict)
    by_content: Mapping[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> frozenset[str]:
        """The examples it held; of rows that say the same, one of these stays."""
        return frozenset(self.by_id)

    def sides(self, ws: Workspace, examples: Sequence[Example]) -> dict[str, str]:
        """Return the side of each example that is still there, by id.

        {} when nothing is left of its test split. What a source ships now counts more than where
        the row was.
        """
        kept = {}
        for example in examples if self.by_id else ():
            side = self.by_id.get(example.id)
            side = side or self.by_content.get(_keyed(ws, example).content_hash)
            if side is not None and _may_keep(example, side):
                kept[example.id] = side
        gone = "test" in self.by_id.values() and "test" not in kept.values()
        return {} if gone else kept


def earlier(ws: Workspace, config: DataConfig) -> Earlier:
    """Find who was where in the version built last of those made with these settings."""
    version = _version(ws, config)
    members = ledger.list_members(ws, version) if version is not None else []
    placed = [one for one in members if one.split in SPLITS]
    return Earlier(
        {one.example_id: one.split for one in placed},
        {one.content_hash: one.split for one in placed},
    )


def _version(ws: Workspace, config: DataConfig) -> DataVersion | None:
    try:
        latest = ledger.get_version(ws)
    except NotFound:
        return None
    asked = config.model_dump(mode="json")
    return next(
        (
            one
            for one in (latest, *reversed(ledger.list_versions(ws)))
            if all(one.config.get(name, DEFAULTS.get(name)) == asked[name] for name in SETTINGS)
        ),
        None,
    )


def _may_keep(example: Example, side: str) -> bool:
    # Validation may be carved from rows that were shipped as training.
    return example.split in (None, side) or (example.split, side) == ("train", "validation")


def _keyed(ws: Workspace, example: Example) -> Example:
    if example.group is None:
        return example
    return replace(example, group=ws.sealed.group_hash(example.group))
