"""The releases in memory: a base with an adapter on it, or a whole model."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from metier.core.completer import Completer
from metier.core.errors import ModelUnavailable, UserError, boundary
from metier.core.records import Release
from metier.core.workspace import Workspace
from metier.registry import Manifest
from metier.serve.names import Model

if TYPE_CHECKING:
    from metier.models.base import Base

OpenRelease = Callable[[Release, Manifest], Completer]
LoadBase = Callable[[str], "Base"]
FORGET_FAILURE_S = 5.0


class Engines:
    """Opens releases as they are asked for and keeps those asked for last. One thread's own."""

    def __init__(self, open_release: OpenRelease, keep: int) -> None:
        self._open, self._keep = open_release, keep
        self._loaded: OrderedDict[str, Completer] = OrderedDict()
        self._failed: dict[str, tuple[float, UserError]] = {}

    def get(self, model: Model) -> Completer:
        """Return what answers for a release, loading it where need be.

        Raises ModelUnavailable; for some seconds after a failure without trying again, so that
        requests for a broken release do not keep the others waiting.
        """
        found = self._loaded.get(model.key)
        if found is None:
            found = self._load(model)
        self._loaded[model.key] = found
        self._loaded.move_to_end(model.key)
        return found

    def _load(self, model: Model) -> Completer:
        since, error = self._failed.get(model.key, (0.0, None))
        if error is not None and time.monotonic() - since < FORGET_FAILURE_S:
            raise error
        while len(self._loaded) >= self._keep:  # before loading, so that there is room
            self._loaded.popitem(last=False)
        try:
            completer = self._opened(model)
        except UserError as error:
            self._failed[model.key] = time.monotonic(), error
            raise
        self._failed.pop(model.key, None)
        return completer

    def _opened(self, model: Model) -> Completer:
        release, manifest = model.release, model.manifest
        if release is None or manifest is None:
            raise TypeError("an upstream has no engine on this machine")
        try:
            with boundary(f"loading {release.name}"):
                return self._open(release, manifest)
        except ModelUnavailable:
            raise
        except UserError as error:
            raise ModelUnavailable(
                f"release {release.name} as it was made",
                got=error.got or error.expected,
                remedy=f"see `metier release verify {release.name}`",
            ) from error


def release_opener(ws: Workspace, load_base: LoadBase) -> OpenRelease:
    """Return what opens a release: its adapter on its base, bases shared between releases.

    It raises ModelUnavailable when the base is another one than the release was made on.
    """
    bases: WeakValueDictionary[str, Base] = WeakValueDictionary()

    def base_of(manifest: Manifest) -> Base:
        base = bases.get(manifest.base)
        if base is None:
            base = bases[manifest.base] = load_base(manifest.base)
        if base.fingerprint != manifest.base_fingerprint:
            raise ModelUnavailable(
                f"the base {manifest.base} of v{manifest.number} "
                f"({manifest.base_fingerprint[:12]})",
                got=f"another one under that name ({base.fingerprint[:12]})",
                remedy="put the base back that the release was tuned on, or tune again",
            )
        return base

    def opened(release: Release, manifest: Manifest) -> Completer:
        from metier.models.adapters import is_adapter
        from metier.models.engines.local import LocalCompleter

        weights = ws.artifacts.checkout(manifest.adapter)
        if is_adapter(weights):
            return LocalCompleter(base_of(manifest), weights, release.name)
        return LocalCompleter(load_base(str(weights)), None, release.name)

    return opened
