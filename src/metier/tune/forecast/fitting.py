"""What would fit where a tune does not: changes of settings, each forecast itself.

In the order of what they cost: smaller passes (the same outcome, hardly slower), activations
computed twice (the same outcome, a third slower), both, shorter examples, an adapter instead of
all weights, the base in four bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from metier.tune.config import TuneConfig
from metier.tune.forecast.types import Change, Range

LEAST_PASS = 64
MOST_CHANGES = 3
CHECKPOINTING_FACTOR = 1.33
"""Forward and back are three parts; one forward more makes four (arXiv 1604.06174)."""

Memory = Callable[[TuneConfig, bool], Range]
"""Forecasts the peak of a tune with these settings, with or without checkpointing."""


def what_would_fit(
    config: TuneConfig, available: int, memory: Memory, longest: int, device: str
) -> tuple[Change, ...]:
    """Return the least changes whose own forecast stays under ``available`` bytes.

    ``longest`` is the longest example in tokens: a pass is never shorter.
    """
    found: list[Change] = []
    for settings, words, checkpointing, factor in _candidates(config, longest, device):
        if len(found) == MOST_CHANGES:
            break
        peak = memory(settings, checkpointing)
        if peak.high <= available and not _covered(words, found):
            found.append(Change(words, peak, factor))
    return tuple(found)


def _candidates(
    config: TuneConfig, longest: int, device: str
) -> Iterator[tuple[TuneConfig, str, bool, float]]:
    on = config.gradient_checkpointing is True
    yield from _smaller_passes(config, longest, on)
    if not on:
        yield config, "gradient_checkpointing = true", True, CHECKPOINTING_FACTOR
        yield from _smaller_passes(config, longest, True)
    for method in _lighter(config, device):
        lighter = config.model_copy(update={"method": method})
        words = f"method = {_toml(method)}"
        yield lighter, words, on, 1.0
        for settings, more, checkpointing, factor in _smaller_passes(lighter, longest, True):
            yield settings, f"{words}, {more}", checkpointing, factor
    for share in (2, 4):
        tokens = max(LEAST_PASS, min(config.max_tokens, longest) // share)
        change = {"max_tokens": tokens, "micro_batch_tokens": tokens}
        words = f"max_tokens = {tokens}, micro_batch_tokens = {tokens}"
        more = "" if on else ", gradient_checkpointing = true"
        yield config.model_copy(update=change), words + more, True, CHECKPOINTING_FACTOR


def _smaller_passes(
    config: TuneConfig, longest: int, checkpointing: bool
) -> Iterator[tuple[TuneConfig, str, bool, float]]:
    tokens = config.micro_batch_tokens or config.batch_tokens
    on = config.gradient_checkpointing is True
    more = ", gradient_checkpointing = true" if checkpointing and not on else ""
    factor = CHECKPOINTING_FACTOR if more else 1.0
    while tokens > max(LEAST_PASS, longest):
        tokens = max(tokens // 2, LEAST_PASS, longest)
        changed = config.model_copy(update={"micro_batch_tokens": tokens})
        yield changed, f"micro_batch_tokens = {tokens}{more}", checkpointing, factor


def _lighter(config: TuneConfig, device: str) -> Iterator[Any]:
    from metier.tune.config import Full, Lora, Qlora

    if isinstance(config.method, Full):
        yield Lora()
    if device == "cuda" and not isinstance(config.method, Qlora):
        yield Qlora()


def _covered(words: str, found: list[Change]) -> bool:
    """A change is of use only where no smaller one of its kind fits already."""
    kind = _kind(words)
    return any(kind >= _kind(one.setting) for one in found)


def _kind(words: str) -> frozenset[str]:
    return frozenset(part.split(" = ")[0] for part in words.split(", "))


def _toml(method: Any) -> str:
    if method.type == "lora":
        return f'{{ type = "lora", r = {method.r}, alpha = {method.alpha:g} }}'
    return f'{{ type = "{method.type}" }}'
