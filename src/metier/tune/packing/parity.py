"""Is packing right for this very model? Two short examples, packed and alone, must agree.

Models that carry state from token to token (linear attention, state spaces), or that mask in ways
transformers does not know of, let packed examples see one another, and no error says so. So
before each tune the actual model is asked: the fastest layout whose logits equal those of the
examples run alone is taken, and padding where none does. Equal to rounding is not enough, as a
leak may be as small: the second example's logits must also stay when the first says something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from metier.tune.packing import attention, passes
from metier.tune.types import Encoded, PassMode

# Largest difference of logits allowed, as a share of the largest logit: float noise in the
# model's own precision, far under what one leaked token causes.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 4e-2}
# Largest change allowed of what follows another example: the same sums are done in the same order.
LEAK = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 4e-3}
PROBE_TOKENS = 48
PACKED: tuple[PassMode, ...] = ("segments", "blocks")


@dataclass(frozen=True, slots=True)
class Parity:
    """The layout to use, and what was measured on the way (layout -> largest difference, as a
    share of the largest logit; NaN: the model refused the layout). ``leaks``: by how much logits
    moved, as such a share, when the example before said something else."""

    mode: PassMode
    differences: dict[str, float]
    tolerance: float
    leaks: dict[str, float] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """One sentence for the person who waits; empty when packing is in use."""
        if self.mode != "padded":
            return ""
        shown = ", ".join(self._seen(mode) for mode in self.differences)
        return (
            "Packed examples would see one another in this model "
            f"({shown}; allowed {self.tolerance:.0e}): padding instead, slower and right."
        )

    def _seen(self, mode: str) -> str:
        difference = self.differences[mode]
        if difference != difference:
            return f"{mode} refused"
        leak = self.leaks.get(mode)
        through = "" if leak is None else f" and {leak:.2g} through from another example"
        return f"{mode} off by {difference:.2g}{through}"


def check(model: Any, examples: Sequence[Encoded], usual: str) -> Parity:
    """Find the fastest layout that is right for ``model``, trying two short examples.

    The model is left in evaluation mode with the attention of the layout found. ``usual`` names
    the attention implementation the model came with.
    """
    attention.register()
    model.eval()
    probes = probe_pair(examples, _window(model.config))
    passes.use(model, "padded", usual)
    alone = [_rows(model, [probe], "padded") for probe in probes]
    largest = max(float(row.abs().max()) for row in alone) or 1.0
    tolerance = TOLERANCE.get(alone[0].dtype, TOLERANCE[torch.bfloat16])
    differences: dict[str, float] = {}
    leaks: dict[str, float] = {}
    for mode in PACKED:
        packed = _packed(model, probes, mode, usual)
        if packed is None:
            differences[mode] = float("nan")
            continue
        differences[mode] = float((packed - torch.cat(alone)).abs().max()) / largest
        if differences[mode] <= tolerance:
            leaks[mode] = _leak(model, probes, packed, mode) / largest
            if leaks[mode] <= LEAK.get(packed.dtype, LEAK[torch.bfloat16]):
                return Parity(mode, differences, tolerance, leaks)
    passes.use(model, "padded", usual)
    return Parity("padded", differences, tolerance, leaks)


def probe_pair(examples: Sequence[Encoded], window: int | None = None) -> list[Encoded]:
    """Take two different short examples, cut to ``PROBE_TOKENS`` tokens, every token wanted.

    Where some example outgrows the model's attention ``window``, the longest is taken whole
    instead of the second. Where the split has only one, its tokens in reverse order make another.
    """
    by_length = sorted(examples, key=lambda example: (example.tokens < 4, example.tokens))
    first = list(by_length[0].input_ids)[:PROBE_TOKENS]
    longest = list(max(examples, key=lambda example: example.tokens).input_ids)
    others = [list(other.input_ids)[:PROBE_TOKENS] for other in by_length[1:]]
    if window is not None and len(longest) > window:
        others.insert(0, longest)
    second = next((ids for ids in others if ids != first), first[::-1])
    pair = {"first": first, "second": second}
    return [Encoded(name, ids, [True] * len(ids)) for name, ids in pair.items()]


def _window(config: Any) -> int | None:
    """Return over how many tokens the model attends at least, where its config limits that."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    limits = (getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((limit for limit in limits if limit), default=None)


def _packed(
    model: Any, probes: Sequence[Encoded], mode: PassMode, usual: str
) -> torch.Tensor | None:
    """Return the logits of the probes packed [tokens, vocabulary], None where that is refused."""
    try:
        passes.use(model, mode, usual)
        return _rows(model, probes, mode)
    except (attention.CannotSegment, TypeError, ValueError, RuntimeError):
        # TypeError and the like: a forward that does not take the layout's arguments.
        return None


def _leak(model: Any, probes: Sequence[Encoded], packed: torch.Tensor, mode: PassMode) -> float:
    """Return by how much the second probe's logits move when the first says something else."""
    first, second = (list(probe.input_ids) for probe in probes)
    others = (first[::-1], (second * len(first))[: len(first)])
    other = next((ids for ids in others if ids[:-1] != first[:-1]), first)
    changed = Encoded("changed", other, [True] * len(other))
    behind = len(first) - 1
    moved = _rows(model, [changed, probes[1]], mode)[behind:] - packed[behind:]
    return float(moved.abs().max())


def _rows(model: Any, examples: Sequence[Encoded], mode: PassMode) -> torch.Tensor:
    """Return the logits of every token of the examples, one after another [tokens, vocabulary]."""
    one = passes.to_device(passes.lay_out(examples, mode), model.device)
    with torch.no_grad():
        return passes.logits(model, one)[0]
