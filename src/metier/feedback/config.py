"""The section ``[feedback]``: what may be said of replies, and what becomes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section

MetricType = Literal["boolean", "float"]
METRICS: dict[str, MetricType] = {"helpful": "boolean", "rating": "float"}
Share = Annotated[float, Field(ge=0, le=1)]


class FeedbackConfig(Section):
    """What may be said of replies, and which of them people look at."""

    metrics: dict[str, MetricType] = Field(default_factory=lambda: dict(METRICS))
    """Metrics that feedback may carry, beside the reserved comment and demonstration."""
    bad_when: dict[str, float] = Field(default_factory=lambda: {"helpful": 0.0, "rating": 2.0})
    """By metric the value at and under which a reply counts as bad (false is 0)."""
    low_confidence: Share = 0.4
    """Replies whose confidence is under this are looked at; 0: none for that reason."""
    audit_share: Share = 0.02
    """Share of all other replies that is drawn at random to be looked at."""
    held_back: Share = 0.2
    """Share of the corrected failures that is only measured on, never learned from."""
    wait_for_people: bool = True
    """The next cycle waits until the queue is empty; false: it takes what is corrected."""
