"""What joins a version after the split: made rows, challenging rows. Test stays as it is.

Made rows join training only where their parent is there, within the cap, and where they are not
nearly what is measured; the rest is counted by reason in the data card. Challenging rows are
compared with what is learned before they are measured on. Nothing reaches validation or test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.steps import Keep
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.data.augment.join import Identifiers, MadeFile, idle_patterns, join_made, read_files
from metier.data.augment.made import CHALLENGE
from metier.data.augment.sheet import KIND, METRIC
from metier.data.challenge.config import ChallengeConfig
from metier.data.challenge.make import make_challenge, setting_of
from metier.data.challenge.part import parted
from metier.data.config import DataConfig
from metier.data.labels import LABEL_TASKS, CheckLabels, labels_in
from metier.data.leakage import Gate
from metier.data.spool import Chained
from metier.privacy import find_identifiers
from metier.privacy.profiles import profile

_NO_FILE = "[data.augment] files: no file fits {!r} (`metier data augment` makes some)"
Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What rows grow on: the settings, the closed labels (empty: those of the rows), the store."""

    config: DataConfig
    objective: Objective
    labels: Sequence[str]
    ws: Workspace
    root: Path


@dataclass(frozen=True, slots=True)
class Grown:
    """The splits with what joined them; ``account`` is for the data card."""

    splits: dict[str, Sequence[Example]]
    account: dict[str, Json] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def grow(ground: Ground, splits: Splits, gate: Gate) -> Grown:
    """Return the splits with made and challenging rows; as they are where neither is asked for.

    Raises InputError when a file of made rows is missing or cannot be read.
    """
    found: dict[str, Sequence[Example]] = dict(splits)
    account: dict[str, Json] = {}
    config = ground.config
    if "train" not in found:
        return Grown(found)
    if isinstance(config.challenge, ChallengeConfig):
        found, account[CHALLENGE] = _challenged(config.challenge, ground, found, gate)
    if config.augment.files:
        rows, account["augment"] = _augmented(ground, found, gate)
        found["train"] = Chained(found["train"], rows)
    idle = idle_patterns(ground.root, config.augment.files)
    return Grown(found, account, tuple(_NO_FILE.format(pattern) for pattern in idle))


def _challenged(
    config: ChallengeConfig, ground: Ground, splits: Splits, gate: Gate
) -> tuple[dict[str, Sequence[Example]], Json]:
    setting = setting_of(config, ground.objective, splits["train"])
    made = make_challenge(config, splits.get("test", ()), splits["train"], setting)
    kept = parted(made, splits, gate)
    grown = dict(splits)
    if kept.split:
        grown[CHALLENGE] = list(kept.split)
    if kept.train:
        grown["train"] = Chained(splits["train"], kept.train)
    return grown, kept.account()


def _augmented(ground: Ground, splits: Splits, gate: Gate) -> tuple[Sequence[Example], Json]:
    config = ground.config.augment
    files = read_files(ground.root, config.files)
    joined = join_made(
        files, config, splits, gate, _Fits(ground, splits["train"]), _identifiers(ground.config)
    )
    return joined.rows, {**joined.account, "files": [_file(ground.ws, file) for file in files]}


class _Fits:
    """Whether a target is one that the objective knows."""

    def __init__(self, ground: Ground, train: Sequence[Example]) -> None:
        known = tuple(ground.labels)
        if not known and ground.objective.task in LABEL_TASKS:
            known = tuple(sorted({label for row in train for label in labels_in(row.target)}))
        self._step = CheckLabels(ground.objective, known)

    def __call__(self, row: Example) -> bool:
        return all(isinstance(one, Keep) for one in self._step.apply([row], {}))


def _identifiers(config: DataConfig) -> Identifiers:
    if not config.redacts:
        return lambda text: frozenset()
    chosen = config.deidentification
    recognisers = None if chosen.is_plain else profile(chosen.profile).recognisers()

    @lru_cache(maxsize=10_000)
    def found(text: str) -> frozenset[str]:
        spans = find_identifiers(text, recognisers)
        return frozenset(text[one.start : one.end].casefold() for one in spans)

    return found


def _file(ws: Workspace, file: MadeFile) -> Json:
    """Return what the card says of a file: with the share of its rows that hold, where people
    checked a sample."""
    told: dict[str, Json] = {"file": file.name, "digest": file.digest, "rows": len(file.rows)}
    probe = ledger.latest_probe(ws, KIND, file.digest)
    if probe is not None:
        share = asdict(probe.metrics[METRIC])
        told["precision"] = {name: share[name] for name in ("value", "low", "high", "n")}
    return told
