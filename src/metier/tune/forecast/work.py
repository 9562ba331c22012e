"""From planned steps to numbers: what each forward pass holds. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from metier.tune.config import TuneConfig
from metier.tune.forecast.types import NOTHING, PassLoad, Work
from metier.tune.packing import plan as packing
from metier.tune.types import PassMode

VALIDATION_PASS_TOKENS = 4096
NOMINAL_SUPERVISED = 0.5
"""Share of tokens with a loss where no data was looked at: replies as long as their prompts."""

Heaviness = Callable[[PassLoad], float]


def loads(
    parts: Iterable[Sequence[int]],
    lengths: Sequence[int],
    supervised: Sequence[int],
    padded: bool = False,
) -> list[PassLoad]:
    """Return the load of each forward pass over the items given by index."""
    return [_load(part, lengths, supervised, padded) for part in parts]


def planned(
    lengths: Sequence[int],
    supervised: Sequence[int],
    config: TuneConfig,
    heaviness: Heaviness,
    mode: PassMode = "segments",
) -> tuple[Work, packing.Plan]:
    """Plan the whole run, as ``tune`` does, and weigh its passes.

    ``supervised`` counts the tokens with a loss of each item; ``heaviness`` says what of two
    passes holds more (bytes).
    """
    plan = packing.plan(lengths, config.batch_tokens, config.epochs, config.seed)
    micro, budget = config.micro_batch_tokens, config.batch_tokens
    per_step: list[PassLoad] = []
    heaviest, heaviest_step = NOTHING, 0
    for number, batch in enumerate(plan.steps):
        parts = packing.cut(batch, lengths, mode, micro, budget)
        held = loads(parts, lengths, supervised, mode == "padded")
        per_step.append(sum(held, NOTHING))
        most = max(held, key=heaviness)
        if heaviness(most) > heaviness(heaviest):
            heaviest, heaviest_step = most, number
    every = config.eval_every
    due = -(-len(plan.steps) // every) if every else len(plan.epoch_ends)
    saved = len(plan.steps) // config.checkpoint_every + due
    return Work(
        examples=len(lengths),
        per_step=tuple(per_step),
        heaviest=heaviest,
        heaviest_step=heaviest_step,
        validations=due,
        checkpoints=max(1, saved),
    ), plan


def with_validation(
    work: Work, lengths: Sequence[int], supervised: Sequence[int], heaviness: Heaviness
) -> Work:
    """Add the validation items: measured once before the first step and then when due."""
    if not lengths:
        return replace(work, validations=0)
    parts = packing.split(range(len(lengths)), lengths, VALIDATION_PASS_TOKENS)
    held = loads(parts, lengths, supervised)
    return replace(
        work,
        validation=sum(held, NOTHING),
        heaviest_validation=max(held, key=heaviness),
        validations=work.validations + 1,
    )


def supervised_of(items: Sequence[Any], lengths: Sequence[int], share: float) -> list[int]:
    """Tokens with a loss of each item: counted in encoded examples, else a share of its tokens."""
    if len(items) == len(lengths) and all(hasattr(one, "supervised_tokens") for one in items):
        return [item.supervised_tokens for item in items]
    return [round(length * share) for length in lengths]


def nominal(config: TuneConfig, steps: int = 1) -> Work:
    """Return the work of full passes where no data was looked at: half the tokens with a loss."""
    tokens = config.micro_batch_tokens or config.batch_tokens
    length = min(config.max_tokens, tokens)
    full = PassLoad(tokens, round(tokens * NOMINAL_SUPERVISED), tokens * length)
    passes = -(-config.batch_tokens // tokens)
    step = PassLoad(full.tokens * passes, full.supervised * passes, full.squares * passes)
    most = PassLoad(
        VALIDATION_PASS_TOKENS,
        round(VALIDATION_PASS_TOKENS * NOMINAL_SUPERVISED),
        VALIDATION_PASS_TOKENS * min(config.max_tokens, VALIDATION_PASS_TOKENS),
    )
    return Work(0, (step,) * steps, full, 0, heaviest_validation=most, validation=most)


def _load(
    part: Sequence[int], lengths: Sequence[int], supervised: Sequence[int], padded: bool
) -> PassLoad:
    if padded:
        longest, rows = max(lengths[i] for i in part), len(part)
        # Logits are made at every place where some row wants them.
        wanted = min(longest, sum(supervised[i] for i in part)) * rows
        return PassLoad(longest * rows, wanted, rows * longest * longest)
    return PassLoad(
        sum(lengths[i] for i in part),
        sum(supervised[i] for i in part),
        sum(lengths[i] ** 2 for i in part),
    )
