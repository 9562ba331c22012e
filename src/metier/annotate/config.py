"""The section ``[annotate]``: how rows are labelled, unless a queue says otherwise."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metier.core.objective import Section


class AnnotateConfig(Section):
    """How rows are labelled, unless a queue says otherwise."""

    answers: Annotated[int, Field(ge=1, le=25)] = 2
    """Answers of different people that each item gets."""
    blind: bool = True
    """People work without seeing one another's answers, or any suggestion."""
    lease_s: Annotated[float, Field(ge=30, le=86_400)] = 600.0
    """Seconds for which an item on a screen is kept for who has it; drafts renew it."""
    training_pass: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of a training round that a newcomer must get right before their answers count."""
    seed: int = 0
    """Seed of every draw; with the same seed the same items are drawn."""
