"""The ``[decide]`` section: the work as it is done today, to weigh options against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metier.core.objective import Section

Usd = Annotated[float, Field(ge=0)]
Hours = Annotated[float, Field(ge=0)]


class DecideConfig(Section):
    """What ``metier decide`` weighs options against: today's process, and what setting up takes."""

    replies_per_month: Annotated[int, Field(ge=0)] = 0
    """Replies a month (0: unknown; break-even volume is told, payback is not)."""
    current_usd_per_reply: Usd | None = None
    """What one reply costs today, people included (absent: nothing is weighed in money)."""
    usd_per_wrong_reply: Usd | None = None
    """What putting one wrong reply right costs (absent: what a reply costs today)."""
    hosted: str = ""
    """Name of a [[serve.upstream]] to measure beside the base (empty: none); [privacy.egress] must
    permit its host for the purpose "evaluate"."""
    prompt_hours: Hours = 8.0
    """Engineer hours to write and try prompts."""
    retrieval_hours: Hours = 24.0
    """Engineer hours to set up retrieval over the documents."""
    tuning_hours: Hours = 40.0
    """Engineer hours to curate data, tune and release, beyond the machine's time."""
    usd_per_engineer_hour: Usd = 80.0
    """One hour of an engineer."""
    small_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Largest share of the training rows that is tuned on for the projection; smaller ones are a
    tenth, a quarter and half of it."""
