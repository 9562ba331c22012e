"""``[data.quality]`` and ``[data.rebalance]``: how suspects are looked for, what is evened out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section


class QualityConfig(Section):
    """How `metier data quality` looks for suspects; changes no version."""

    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of the data; each is judged by a model that was fitted on the others."""
    neighbours: Annotated[int, Field(ge=2, le=50)] = 5
    """Nearest rows a row is compared with."""
    most_rows: Annotated[int, Field(ge=100)] = 20_000
    """Rows a row is compared with at most; of more, a sample drawn by content."""
    embedder: str = "tfidf"
    """What neighbours are near by: tfidf, or an embedder (hashed, minilm, base:MODEL)."""
    fewest: Annotated[int, Field(ge=2)] = 20
    """Rows of a slice or group from which something is said of it."""


class RebalanceConfig(Section):
    """Evens out training rows after the split; validation and test stay as they are."""

    by: str = "label"
    """What is evened out: label, or the name of a slice."""
    method: Literal["oversample", "undersample", "weight"] = "oversample"
    """Copy rows of what is rare, leave out rows of what is frequent, or weigh the loss."""
    cap: Annotated[float, Field(gt=1)] = 3.0
    """How often a row stands in training at most, the most its loss may weigh, or (undersample)
    by what factor a frequent part may shrink."""
