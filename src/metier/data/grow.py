"""What joins a version after the split: made rows, challenging rows. Test stays as it is.

Made rows join training only where their parent is there, within the cap, and where they are not
nearly what is measured; the rest is counted by reason in the data card. Nothing reaches validation
or test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Example, Json
from metier.data.augment.config import AugmentConfig
from metier.data.augment.made import Made, example_of, read_made
from metier.data.challenge.config import ChallengeConfig
from metier.data.challenge.kinds import Setting
from metier.data.challenge.make import CHALLENGE, make_challenge
from metier.data.config import DataConfig
from metier.data.labels import strata
from metier.data.leakage import Gate, find_leaks
from metier.data.spool import Chained

Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Grown:
    """The splits with what joined them; ``account`` is for the data card."""

    splits: dict[str, Sequence[Example]]
    account: dict[str, Json] = field(default_factory=dict)


def grow(config: DataConfig, objective: Objective, splits: Splits, root: Path, gate: Gate) -> Grown:
    """Return the splits with made and challenging rows; as they are where neither is asked for.

    Raises InputError when a file of made rows is missing or cannot be read.
    """
    found: dict[str, Sequence[Example]] = dict(splits)
    account: dict[str, Json] = {}
    if "train" not in found:
        return Grown(found)
    if isinstance(config.challenge, ChallengeConfig):
        found, account[CHALLENGE] = _challenged(config.challenge, objective, found)
    if config.augment.files:
        rows, account["augment"] = _augmented(config.augment, found, root, gate)
        found["train"] = Chained(found["train"], rows)
    return Grown(found, account)


def _challenged(
    config: ChallengeConfig, objective: Objective, splits: Splits
) -> tuple[dict[str, Sequence[Example]], Json]:
    closed = tuple(objective.enum_fields)
    labels = sorted({name for row in splits["train"] for name in strata(row, closed)})
    spoken = [name.partition("=")[2] or name for name in labels]
    setting = Setting(spoken, closed, config.refusal)
    made = make_challenge(config, splits.get("test", ()), splits["train"], setting)
    grown = dict(splits)
    if made.split:
        grown[CHALLENGE] = list(made.split)
    if made.train:
        grown["train"] = Chained(splits["train"], made.train)
    return grown, made.account


def _augmented(
    config: AugmentConfig, splits: Splits, root: Path, gate: Gate
) -> tuple[list[Example], Json]:
    read = [pair for pattern in config.files for pair in _files(root, pattern)]
    wanted = {made.parent for _, _, made in read}
    parents = {row.id: row for row in splits["train"] if row.id in wanted}
    kept: dict[str, Example] = {}
    left: Counter[str] = Counter()
    per_parent: Counter[str] = Counter()
    for name, digest, made in read:
        reason = _refused(made, parents, per_parent, config)
        if reason is None:
            parent = parents[made.parent] if made.parent else None
            row = example_of(made, name, digest, parent)
            per_parent[made.parent or ""] += made.parent is not None
            kept[row.id] = row
        else:
            left[reason] += 1
    measured = {name: rows for name, rows in splits.items() if name != "train"}
    leaks = find_leaks({**measured, "train": list(kept.values())}, gate)
    gone = {leak.yields.id for leak in leaks if leak.yields.id in kept}
    if gone:
        left["nearly what is measured"] += len(gone)
    rows = [row for row in kept.values() if row.id not in gone]
    ways = Counter(row.provenance.steps[-1] for row in rows)
    return rows, {"rows": len(rows), "ways": dict(ways), "left_out": dict(sorted(left.items()))}


def _files(root: Path, pattern: str) -> list[tuple[str, str, Made]]:
    paths = sorted(root.glob(pattern))
    if not paths:
        raise InputError(
            "files of made rows ([data.augment] files)",
            got=f"none that {pattern!r} fits",
            remedy="make them with `metier data augment`, or take the entry out",
        )
    found = []
    for path in paths:
        digest = blake2b(path.read_bytes(), digest_size=16).hexdigest()
        name = path.relative_to(root).as_posix()
        found += [(name, digest, made) for made in read_made(path)]
    return found


def _refused(
    made: Made, parents: Mapping[str, Example], per_parent: Counter[str], config: AugmentConfig
) -> str | None:
    if made.parent is not None and made.parent not in parents:
        return "parent not in training"
    if made.sure < config.least_sure:
        return "target in doubt"
    if made.parent is not None and per_parent[made.parent] >= config.most_per_parent:
        return "enough of one parent"
    return None
