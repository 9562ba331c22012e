"""What a method is given and what it has to be able to do. Imports no torch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metier.core.lineage import Ref
from metier.models.base import Base
from metier.tune.config import TuneConfig


@dataclass(frozen=True, slots=True)
class Start:
    """Weights that a tune begins with instead of the base's own.

    ``whole``: a whole model, not an adapter. ``fingerprint`` hashes the weights; ``ref`` is the
    run they come from (None: a folder that the workspace does not know).
    """

    name: str
    folder: Path
    whole: bool
    fingerprint: str
    ref: Ref | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a tune begins with.

    ``base`` has the tokenizer that is trained with; ``new_tokens`` are the ids in it that the
    base as published does not have; ``start`` the weights to go on from (None: the base's own).
    """

    base: Base
    start: Start | None = None
    new_tokens: tuple[int, ...] = ()


class Method(Protocol):
    """A module of this folder: how a model is made trainable, and what the tune leaves."""

    def trainable(self, config: TuneConfig, beginning: Beginning) -> AbstractContextManager[Any]:
        """Yield the model to train; the base's own model stays, or ends, as it was."""
        ...

    def export(self, model: Any, config: TuneConfig, beginning: Beginning, folder: Path) -> None:
        """Write what the tune leaves: a folder that evaluation and serving can load."""
        ...
