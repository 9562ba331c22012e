"""A loss that is no number: which examples of the batch, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.errors import InputError


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
