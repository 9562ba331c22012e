"""Costs: what an hour of each thing is worth, and what a thousand replies then cost.

The defaults are round figures to start from, not quotes: set your own in ``[costs]``, with the day
they were true and where they come from.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from metier.core.objective import Section

Usd = Annotated[float, Field(ge=0)]


class Prices(Section):
    """Prices that cost figures are computed from, in US dollars."""

    as_of: date = date(2026, 11, 1)
    """Day on which these prices were true."""
    source: dict[str, str] = Field(default_factory=dict)
    """Where a price comes from, by its key here, e.g. usd_per_gpu_hour = "cloud price list"; a
    price without a source is a round figure to start from."""

    usd_per_cpu_hour: Usd = 0.10
    """One hour of the machine when it works on its CPU."""
    usd_per_gpu_hour: Usd = 2.50
    """One hour of one GPU."""
    usd_per_annotator_hour: Usd = 40.0
    """One hour of a domain expert's labelling or rating."""
    usd_per_million_input_tokens: Usd = 0.0
    """What an endpoint charges for a million tokens in (0: engines on this machine only)."""
    usd_per_million_output_tokens: Usd = 0.0
    """What an endpoint charges for a million tokens out (0: engines on this machine only)."""


def usd_per_1000(seconds_per_reply: float, prices: Prices, device: str = "cpu") -> float:
    """Machine cost of a thousand replies; ``device`` is "cpu", or a GPU under any name."""
    hourly = prices.usd_per_cpu_hour if device == "cpu" else prices.usd_per_gpu_hour
    return 1000 * seconds_per_reply / 3600 * hourly


def usd_for_tokens(input_tokens: int, output_tokens: int, prices: Prices) -> float:
    """What an endpoint charges for that many tokens."""
    into = input_tokens * prices.usd_per_million_input_tokens
    out = output_tokens * prices.usd_per_million_output_tokens
    return (into + out) / 1e6
