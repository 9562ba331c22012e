"""The ``[tune]`` section: what is trained, how fast, and how long. Imports no torch.

[tune]
method = { type = "lora", r = 8, alpha = 16, targets = "all-linear" }
lr = 2e-4
epochs = 3
batch_tokens = 2048
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Lora(Section):
    """Train a low-rank adapter beside the frozen base (LoRA, arXiv 2106.09685)."""

    type: Literal["lora"] = "lora"
    """Which method this table sets up."""
    r: int = Field(default=8, ge=1, le=1024)
    """Rank of the adapter's matrices."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the adapter: its output is multiplied by alpha / r."""
    dropout: Fraction = 0.0
    """Fraction of the adapter's inputs dropped while training; 0 is fastest."""
    targets: str | list[str] = "all-linear"
    """Layers that get an adapter: all-linear, or a list of module names."""


class Full(Section):
    """Train every weight of the base. The result is a whole model, not an adapter."""

    type: Literal["full"] = "full"
    """Which method this table sets up."""


Method = Annotated[Lora | Full, Field(discriminator="type")]


class Sft(Section):
    """Learn the wanted replies token by token (supervised fine-tuning)."""

    type: Literal["sft"] = "sft"
    """Which algorithm this table sets up."""
    loss_share: Literal["tokens", "fields"] = "tokens"
    """What weighs the same in the loss: every supervised token, or (structured tasks) every field
    of the reply, so that a label of two tokens is not drowned by a text of forty."""


Algorithm = Sft  # with more than one: Annotated[Sft | Dpo | ..., Field(discriminator="type")]


class Schedule(Section):
    """How the learning rate moves over the run."""

    type: Literal["linear", "cosine", "constant"] = "linear"
    """Shape after the warm-up: down to zero in a line or a half cosine, or flat."""
    warmup: Fraction = 0.03
    """Fraction of all optimiser steps over which the rate rises from zero."""


class TuneConfig(Section):
    """How the base model is fine-tuned on a frozen data version."""

    method: Method = Lora()
    """What is trained: lora (an adapter) or full (every weight)."""
    algorithm: Algorithm = Sft()
    """What is learned from, and by which loss: sft (wanted replies)."""
    lr: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = 2e-4
    """Peak learning rate; auto takes one from the model's width (very small models want more)."""
    epochs: float = Field(default=3.0, gt=0, le=1000)
    """Passes over the training split; 1.5 is one and a half."""
    batch_tokens: int = Field(default=2048, ge=16)
    """Most real (not padding) tokens in one optimiser step; longer examples go alone."""
    micro_batch_tokens: int | None = Field(default=None, ge=16)
    """Most tokens in one forward pass, to save memory (absent: the whole step in one pass)."""
    schedule: Schedule = Schedule()
    """How the learning rate moves over the run."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradients are scaled down to this norm; 0 leaves them alone."""
    max_tokens: int = Field(default=1024, ge=8)
    """Longest example in tokens (never above what the base takes); longer prompts are shortened."""
    eval_every: int = Field(default=0, ge=0)
    """Optimiser steps between validation losses; 0: after every epoch."""
    eval_examples: int = Field(default=500, ge=1)
    """Validation examples measured each time, drawn once under the seed when there are more."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many validations in a row without a new best; 0: never stop early."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Optimiser steps between checkpoints, beside the one at each validation."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints kept on disk; the best is kept besides."""
    seed: int = Field(default=0, ge=0)
    """Seed of the adapter's start, the order of examples and dropout."""
