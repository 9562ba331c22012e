"""What an encoder of another trainer's data hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.tune.inspect.frame import Frame
from metier.tune.inspect.types import Row, Setting


@dataclass(frozen=True)
class Theirs:
    """Rows as the trainer has them; ``dropped`` maps the others' places to the reason."""

    rows: Sequence[Row]
    dropped: Mapping[str, str]
    frame: Frame
    max_tokens: int
    settings: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()
