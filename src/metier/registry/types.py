"""What a release holds: the manifest, and what checking it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metier.core.objective import Objective
from metier.core.types import Json

Alias = Literal["champion", "challenger", "previous"]
ALIASES: tuple[Alias, ...] = ("champion", "challenger", "previous")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that shapes a release's answers, and where it came from.

    ``objective`` is the project's (its task, fields and instruction shape the prompt), ``labels``
    the closed set of the data version; ``system`` the system prompt; ``prompt`` the name of the
    prompt variant; ``deidentify`` the profile that training data went through, which serving
    applies, with the project's choice of operators in ``deidentification``; ``files`` maps the
    adapter's files to their SHA-256;
    ``version_hash`` is that of the data version, ``metrics`` the evaluation's estimates.
    """

    project: str
    number: int
    run_id: str
    version_id: str
    version_hash: str
    evaluation_id: str
    base: str
    base_fingerprint: str
    adapter: str
    files: Mapping[str, str]
    system: str
    prompt: str
    objective: Mapping[str, Json]
    labels: tuple[str, ...]
    deidentify: str
    max_new_tokens: int
    metrics: Mapping[str, Json]
    software: Mapping[str, str]
    deidentification: Mapping[str, Json] = field(default_factory=dict)

    @property
    def task(self) -> Objective:
        """The objective, read back."""
        return Objective.model_validate(dict(self.objective))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that verification recomputed. ``what`` is the file or record."""

    what: str
    ok: bool
    expected: str
    got: str
