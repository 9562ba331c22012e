"""make_challenge: the challenge split from test rows, and hard siblings for training rows.

What is measured comes from rows that are measured, and what is learned from rows that are learned
from, so neither side sees the other's. ``slices["challenge"]`` names the kind, so that results are
told apart by it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from metier.core.objective import Objective
from metier.core.types import Example, Json, Provenance, digest
from metier.data.augment.made import CHALLENGE, reworded
from metier.data.challenge.config import ChallengeConfig, Kind
from metier.data.challenge.kinds import Setting, classes_of, sibling


@dataclass(frozen=True, slots=True)
class Challenge:
    """Rows to measure on, rows to learn from, and how many of each were left out for looking like
    what is on the other side."""

    split: tuple[Example, ...]
    train: tuple[Example, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def account(self) -> dict[str, Json]:
        """Return what the data card says of them."""
        return {
            "kinds": dict(Counter(one.slices[CHALLENGE] for one in self.split)),
            "train": dict(Counter(one.slices[CHALLENGE] for one in self.train)),
            "left_out": dict(self.left_out),
        }


def setting_of(config: ChallengeConfig, objective: Objective, rows: Iterable[Example]) -> Setting:
    """Return what the kinds need to know; ``rows`` are training rows, whose classes are spoken of.

    Of several closed fields the first one's values are the classes.
    """
    closed = tuple(objective.enum_fields)
    labels = {name for row in rows for name in classes_of(row.target, closed)}
    return Setting(sorted(labels), closed, config.refusal)


def make_challenge(
    config: ChallengeConfig, test: Sequence[Example], train: Sequence[Example], setting: Setting
) -> Challenge:
    """Make the challenge split and the training siblings; the same rows give the same ones."""
    measured = [
        one for kind in config.kinds for one in _some(kind, test, setting, config, config.per_kind)
    ]
    learned = list(_siblings(train, setting, config)) if config.train_share else []
    return Challenge(tuple(measured), tuple(learned))


def _some(
    kind: Kind, rows: Sequence[Example], setting: Setting, config: ChallengeConfig, most: int
) -> Iterator[Example]:
    """Yield up to ``most`` rows of a kind, from parents drawn by their content."""
    drawn = sorted(range(len(rows)), key=lambda at: _place(rows[at], kind, config.seed))
    made = 0
    for at in drawn:
        if made == most:
            return
        found = _made(kind, rows[at], setting, config.seed)
        if found is not None:
            made += 1
            yield found


def _siblings(
    rows: Sequence[Example], setting: Setting, config: ChallengeConfig
) -> Iterator[Example]:
    for row in rows:
        rng = random.Random(digest([config.seed, "train", row.content_hash]))
        if rng.random() >= config.train_share:
            continue
        kinds = rng.sample(config.kinds, len(config.kinds))
        made = (_made(kind, row, setting, config.seed) for kind in kinds)
        found = next((one for one in made if one is not None), None)
        if found is not None:
            yield found


def _place(row: Example, kind: Kind, seed: int) -> str:
    return digest([seed, kind, row.content_hash])


def _made(kind: Kind, row: Example, setting: Setting, seed: int) -> Example | None:
    found = sibling(kind, row, setting, random.Random(_place(row, kind, seed)))
    if found is None:
        return None
    text, target = found
    return Example(
        id=Example.make_id(CHALLENGE, f"{kind} {row.id}"),
        conversation=reworded(row, text),
        target=target,
        provenance=Provenance(
            CHALLENGE, CHALLENGE, f"{kind} {row.id}", parent=row.id, steps=(CHALLENGE, kind)
        ),
        group=row.group,
        slices={**row.slices, CHALLENGE: kind},
    )
