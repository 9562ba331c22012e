"""What training cannot go on with: a loss that is no number, a token that the model has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metier.core.errors import InputError
from metier.tune.types import Encoded


class NotFinite(InputError):
    """The training loss is NaN or infinite. ``bad`` names the examples, ``of`` counts the batch."""

    bad: tuple[str, ...] = ()
    of: int = 0
    step: int = 0


def not_finite(
    example_ids: Sequence[str], finite: Sequence[bool], step: int, lr: float
) -> NotFinite:
    """Build the error for a pass some of whose examples have no finite loss."""
    bad = [one for one, fine in zip(example_ids, finite, strict=True) if not fine]
    everywhere = len(bad) == len(finite) > 1
    shown = ", ".join(bad[:5]) + (", …" if len(bad) > 5 else "")
    error = NotFinite(
        "a finite training loss",
        got=f"NaN or infinity at step {step} (learning rate {lr:.3g}) on {len(bad)} of "
        f"{len(finite)} examples of the batch: {shown}",
        remedy="lower lr in [tune]: on every example at once, the weights have run away"
        if everywhere
        else "look at these examples with `metier inspect`, or lower lr in [tune]",
    )
    error.bad, error.of, error.step = tuple(bad), len(finite), step
    return error


def require_vocabulary(model: Any, tokenizer: Any, examples: Sequence[Encoded]) -> None:
    """Raise InputError where an example has a token that the model has no embedding for."""
    weight = getattr(model.get_input_embeddings(), "weight", None)
    rows = len(tokenizer) if weight is None else int(weight.shape[0])
    for example in examples:
        worst = max(example.input_ids)
        if worst >= rows:
            raise InputError(
                f"tokens that the base knows: its embedding has {rows} rows",
                got=f"token {worst} ({tokenizer.convert_ids_to_tokens(worst)!r}) in "
                f"{example.example_id}; the tokenizer has {len(tokenizer)} tokens",
                remedy="put the tokenizer files that belong to the base's weights beside them: "
                "these are another model's, or have had tokens added",
            )
