"""The ``[evaluate]`` section: which baselines are measured, and how. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section
from metier.evaluate.effects.config import ProbesConfig
from metier.evaluate.judge.config import JudgeConfig
from metier.evaluate.parity_config import ParityConfig

Rung = Literal[
    "keyword",
    "tfidf",
    "nearest",
    "lead",
    "zero_shot",
    "few_shot",
    "rag",
    "rag_few_shot",
    "tuned_rag",
]
PROMPTED_RUNGS: tuple[Rung, ...] = ("zero_shot", "few_shot", "rag", "rag_few_shot")
"""Rungs of the untuned language model."""
GROUNDED_RUNGS: tuple[Rung, ...] = ("rag", "rag_few_shot")
"""Those of them that are shown retrieved passages."""


class EvaluateConfig(Section):
    """How candidates and baselines are measured."""

    rungs: Literal["auto"] | list[Rung] = "auto"
    """Baselines to measure; auto takes every one that fits the task, and with [retrieval] documents
    those that are shown passages. tuned_rag is measured beside the tuned model."""
    bases: list[str] = Field(default_factory=list)
    """Further base models (folder or hub name) to measure untuned, each as rungs named
    zero_shot:<base> and few_shot:<base>."""
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Bootstrap resamples behind every interval."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence level of every interval, as a fraction."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of resampling, validation samples and the choice of few-shot examples."""
    few_shot_k: tuple[Annotated[int, Field(ge=1, le=64)], ...] = (4,)
    """Numbers of examples to try in few-shot prompts; the best on validation is kept."""
    few_shot_examples: tuple[Literal["fixed", "nearest"], ...] = ("fixed", "nearest")
    """Which examples to try: the same for all, or those most similar to the message."""
    validation_sample: Annotated[int, Field(ge=1)] = 100
    """Validation examples on which prompts, k and prior correction are chosen."""
    test_sample: Annotated[int, Field(ge=0)] = 0
    """Test examples to measure on, the same for every rung (0: all of them)."""
    turns: Literal["last", "every"] = "last"
    """Which assistant turns of a conversation are answered: the last, or every supervised one, each
    after the turns that really came before it."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest reply, in tokens."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Conversations handed to the model at once; a finished batch survives an interruption."""
    rare_class_items: Annotated[int, Field(ge=1)] = 5
    """Classes with fewer test items than this are reported apart."""
    probes: ProbesConfig = ProbesConfig()
    """How side effects of tuning are measured."""
    parity: ParityConfig = ParityConfig()
    """How exported forms of a model are held to the model as it was tuned."""
    cache: bool = True
    """Keep replies and scores in the workspace, so that no model is asked the same twice."""
    judge: JudgeConfig = JudgeConfig()
    """Models that judge replies."""
    worst_examples: Annotated[int, Field(ge=0, le=200)] = 12
    """Worst answers shown in the report."""
    groups: list[str] = Field(default_factory=list)
    """Attributes of people to compare error rates over, each named in slices of a data source."""
    positive: str = ""
    """Label whose share is compared over these groups (structured: field=label; empty: none)."""
