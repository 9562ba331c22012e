"""The ``[evaluate.parity]`` section: how near an exported model must come. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metier.core.objective import Section

Share = Annotated[float, Field(ge=0, le=1)]
Nats = Annotated[float, Field(ge=0)]


class ParityBar(Section):
    """What a form of a model must reach beside the model as it was tuned."""

    logprob_max: Nats | None = None
    """Largest difference of one token's log-probability, in nats (absent: not looked at)."""
    logprob_mean: Nats | None = None
    """Mean difference of the tokens' log-probabilities, in nats (absent: not looked at)."""
    same: Share = 1.0
    """Least share of prompts whose greedy reply is the same, to the character. Under 1 it is held
    to the 95% interval: missed only where that lies under it, unsettled where it holds it."""
    metric_drop: Share = 0.0
    """Most that the task's own metric may fall, in absolute points; larger bars are for small
    samples."""


class ParityConfig(Section):
    """How exported forms of a model are held to the model as it was tuned."""

    rows: Annotated[int, Field(ge=1)] = 200
    """Validation rows that every form answers; a share of fewer is known too roughly to judge 8-bit
    weights by."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    """Longest greedy reply that is compared, in tokens."""
    exact: ParityBar = ParityBar(logprob_max=1e-4, logprob_mean=1e-5)
    """The bar of a merge in float32."""
    half: ParityBar = ParityBar(logprob_mean=0.02, same=0.95, metric_drop=0.01)
    """The bar of 16-bit weights: a merge in them, and GGUF in f32 or f16 (llama.cpp keeps its cache
    in float16)."""
    eight_bit: ParityBar = ParityBar(logprob_mean=0.05, same=0.85, metric_drop=0.02)
    """The bar of 8-bit weights: quantised int8 and GGUF in q8_0."""
    four_bit: ParityBar = ParityBar(logprob_mean=0.3, same=0.6, metric_drop=0.05)
    """The bar of 4-bit weights."""
    served: ParityBar = ParityBar()
    """The bar of a served model, of which only answers are seen."""
