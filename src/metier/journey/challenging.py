"""A look at challenging rows, made from training rows, so that nobody sees the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metier.core import ledger
from metier.core.errors import InputError, nearest
from metier.data.augment.make import parents_of
from metier.data.challenge.config import KINDS, ChallengeConfig, Kind
from metier.data.challenge.make import make_challenge, setting_of
from metier.data.quality.decide import target_words
from metier.journey.session import Session


@dataclass(frozen=True, slots=True)
class Shown:
    """One training row and its challenging sibling."""

    kind: str
    parent: str
    before: str
    after: str
    target: str


def preview_challenge(session: Session, kinds: Sequence[str] = (), count: int = 5) -> list[Shown]:
    """Return up to ``count`` siblings of each kind, made from training rows of the latest version.

    Raises NotFound without a version, InputError for a kind that there is not.
    """
    project = session.project
    config = project.data.challenge
    config = config if isinstance(config, ChallengeConfig) else ChallengeConfig()
    chosen = [_kind(name) for name in kinds] or list(config.kinds)
    config = config.model_copy(update={"kinds": tuple(chosen), "per_kind": count, "train_share": 0})
    version = ledger.get_version(session.workspace)
    rows = parents_of(ledger.iter_split(session.workspace, version, "train"))
    setting = setting_of(config, project.objective, rows)
    made = make_challenge(config, rows, (), setting).split
    parents = {row.id: row for row in rows}
    return [
        Shown(
            one.slices["challenge"],
            one.provenance.parent or "",
            parents[one.provenance.parent or ""].conversation.text,
            one.conversation.text,
            target_words(one.target),
        )
        for one in made
    ]


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    raise InputError("a kind of challenge", got=repr(name), remedy=nearest(name, KINDS))
