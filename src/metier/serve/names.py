"""What the name of a model stands for, looked up for every request: a promotion acts at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from metier.core.errors import NotFound, nearest
from metier.core.objective import Objective
from metier.core.records import Release
from metier.core.workspace import Workspace
from metier.privacy.settings import DeidentifyConfig
from metier.registry import ALIASES, Manifest, aliases, get_release, list_releases, load_manifest
from metier.serve.config import Upstream
from metier.serve.types import ModelCard

_RELEASE = re.compile(r"v\d{1,9}|rel_[0-9a-f]{32}")
# Tasks whose reply has a shape that is filled in; the others are written token by token.
SHAPED = frozenset({"classify", "multilabel", "structured"})


@dataclass(frozen=True)
class Model:
    """What answers under ``name``: a release with its manifest, or an upstream."""

    name: str
    release: Release | None = None
    manifest: Manifest | None = None
    objective: Objective | None = None
    upstream: Upstream | None = None

    @property
    def key(self) -> str:
        """Equal for names that stand for the same."""
        return self.release.id if self.release else f"upstream {self.name}"

    @property
    def shaped(self) -> bool:
        """Whether the reply is filled in rather than written."""
        return self.objective is not None and self.objective.task in SHAPED

    @property
    def writes(self) -> bool:
        """Whether anything in the reply is written, so that sampling can change it."""
        return self.objective is None or self.objective.task not in ("classify", "multilabel")

    @property
    def in_json(self) -> bool:
        """Whether replies are JSON."""
        return self.objective is not None and self.objective.task in ("structured", "extract")

    @property
    def identify(self) -> bool | DeidentifyConfig:
        """How identifiers are taken out: as in training; of what goes upstream, by patterns."""
        if self.manifest is None:
            return True
        if self.manifest.deidentify == "none":
            return False
        named = {**self.manifest.deidentification, "profile": self.manifest.deidentify}
        settings = DeidentifyConfig.model_validate(named)
        return True if settings.is_plain else settings


class Names:
    """The names of one workspace's releases and of the upstreams."""

    def __init__(self, ws: Workspace, upstreams: Sequence[Upstream]) -> None:
        self._ws = ws
        self._upstreams = {one.name: one for one in upstreams}
        self._known: dict[str, tuple[Manifest, Objective]] = {}  # of releases, which never change

    def find(self, name: str) -> Model:
        """Return what a name stands for now. Raises NotFound, which names the nearest."""
        if name in self._upstreams:
            return Model(name, upstream=self._upstreams[name])
        if name not in ALIASES and not _RELEASE.fullmatch(name):
            raise self._unknown(name)
        try:
            release = get_release(self._ws, name)
        except NotFound as error:
            raise self._unknown(name) from error
        if release.id not in self._known:
            manifest = load_manifest(self._ws, release)
            self._known[release.id] = manifest, manifest.task
        manifest, objective = self._known[release.id]
        return Model(name, release, manifest, objective)

    def cards(self) -> list[ModelCard]:
        """All names: aliases, releases newest first, upstreams."""
        pointed = [
            ModelCard(name, "alias", release.created_at, release.name)
            for name, release in aliases(self._ws).items()
        ]
        releases = [
            ModelCard(release.name, "release", release.created_at, release.name)
            for release in reversed(list_releases(self._ws))
        ]
        return [*pointed, *releases, *(ModelCard(n, "upstream", None) for n in self._upstreams)]

    def _unknown(self, name: str) -> NotFound:
        known = [card.id for card in self.cards()]
        return NotFound("the name of a model", got=repr(name[:100]), remedy=nearest(name, known))
