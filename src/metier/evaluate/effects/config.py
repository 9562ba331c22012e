"""The ``[evaluate.probes]`` section: how side effects of tuning are measured. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metier.core.objective import Section


class ProbesConfig(Section):
    """How side effects of tuning are measured."""

    general_items: str = ""
    """JSONL file of general instructions (ask, choices, answer), relative to metier.toml; empty:
    the bundled set."""
    general_text: str = ""
    """Text file (paragraphs) or JSONL (text) of general text, relative to metier.toml; empty: the
    bundled one."""
    rows: Annotated[int, Field(ge=1)] = 200
    """Validation rows that are perturbed, and prompts on which two models are held to parity."""
    codes: Annotated[int, Field(ge=32, le=100_000)] = 256
    """Random codes that each canary's own is ranked among."""
    sealed_values: Annotated[int, Field(ge=0)] = 200
    """Sealed values of training rows that extraction is tried on; 0: none is opened."""
    bins: Annotated[int, Field(ge=2, le=100)] = 15
    """Bins of the reliability curve."""
    precision: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Precision wanted of answers that are given without a person; the others are abstained
    from."""
