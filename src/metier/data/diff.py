"""What differs between two frozen versions: rows, sides, labels, settings and sources.

    found = diff(ws, "ver_1", "latest")
    found.added["train"], found.moved, found.settings

A row is known by its id; one whose source file has changed is known by its content, so that a file
that was merely saved again shows no differences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from metier.core import ledger
from metier.core.ledger import Member
from metier.core.records import DataVersion
from metier.core.types import Example, Json
from metier.core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Moved:
    """A row that is on another side than it was."""

    example_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A row with other text or another target; both in the words of the version that holds it."""

    example_id: str
    split: str
    before: Example
    after: Example


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """``added`` and ``removed`` map splits to example ids; ``labels`` maps a label to its rows in
    all splits before and after, where they differ; ``settings`` maps a key of [data] to both
    values; ``sources`` are paths that only one of them read."""

    older: str
    newer: str
    added: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, tuple[str, ...]]
    changed: tuple[str, ...]
    moved: tuple[Moved, ...]
    labels: Mapping[str, tuple[int, int]]
    settings: Mapping[str, tuple[Json, Json]]
    sources_added: tuple[str, ...]
    sources_removed: tuple[str, ...]
    same_test: bool

    @property
    def empty(self) -> bool:
        """Whether both hold the same rows on the same sides."""
        return not (any(self.added.values()) or any(self.removed.values()) or self.changed
                    or self.moved)  # fmt: skip


def diff(ws: Workspace, older: str, newer: str = ledger.LATEST) -> VersionDiff:
    """Compare two versions by their rows, without reading texts. Raises NotFound."""
    a, b = ledger.with_rows(ws, older), ledger.with_rows(ws, newer)
    before, after = _members(ws, a), _members(ws, b)
    here = {one.content_hash for one in after.values()}
    there = {one.content_hash for one in before.values()}
    gone = [m for key, m in before.items() if key not in after and m.content_hash not in here]
    new = [m for key, m in after.items() if key not in before and m.content_hash not in there]
    both = [(before[key], after[key]) for key in before if key in after]
    return VersionDiff(
        a.id,
        b.id,
        _by_split(new),
        _by_split(gone),
        tuple(x.example_id for x, y in both if x.content_hash != y.content_hash),
        tuple(Moved(x.example_id, x.split, y.split) for x, y in both if x.split != y.split),
        _labels(a, b),
        _settings(a, b),
        tuple(sorted(_paths(b) - _paths(a))),
        tuple(sorted(_paths(a) - _paths(b))),
        a.splits.get("test") == b.splits.get("test"),
    )


def rewritten(
    ws: Workspace, found: VersionDiff, most: int = 20, *, start: int = 0, actor: str | None = None
) -> list[Rewritten]:
    """Return up to ``most`` changed rows from place ``start`` on with their texts, as they were
    frozen; audited."""
    wanted = found.changed[start : start + most]
    if not wanted:
        return []
    ws.audit.append(actor, "data.view", found.newer, {"rows": sorted(wanted), "why": "diff"})
    before = ledger.find_rows(ws, ledger.get_version(ws, found.older), wanted)
    after = ledger.find_rows(ws, ledger.get_version(ws, found.newer), wanted)
    return [
        Rewritten(key, after[key][0], before[key][1], after[key][1])
        for key in wanted
        if key in before and key in after
    ]


def _members(ws: Workspace, version: DataVersion) -> dict[str, Member]:
    return {one.example_id: one for one in ledger.list_members(ws, version)}


def _by_split(members: list[Member]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one in members:
        found.setdefault(one.split, []).append(one.example_id)
    return {split: tuple(sorted(ids)) for split, ids in sorted(found.items())}


def _labels(a: DataVersion, b: DataVersion) -> dict[str, tuple[int, int]]:
    before, after = _counts(a), _counts(b)
    names = sorted({*before, *after}, key=lambda name: (-after[name], name))
    return {n: (before[n], after[n]) for n in names if before[n] != after[n]}


def _counts(version: DataVersion) -> Counter[str]:
    counts: Counter[str] = Counter()
    for found in version.card.get("splits", {}).values():
        counts.update(found.get("labels", {}))
    return counts


def _settings(a: DataVersion, b: DataVersion) -> dict[str, tuple[Json, Json]]:
    names = sorted({*a.config, *b.config} - {"sources", "workers"})
    return {
        name: (a.config.get(name), b.config.get(name))
        for name in names
        if a.config.get(name) != b.config.get(name)
    }


def _paths(version: DataVersion) -> set[str]:
    return {source["path"] for source in version.card.get("sources", [])}
