"""What can be tuned on several devices: what a test compares with one device, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from metier.core.errors import ConfigError
from metier.tune.config import Full, TuneConfig
from metier.tune.devices.world import World
from metier.tune.loop.best import LOSS

ALGORITHMS = ("sft",)
METHODS, SHARDED_METHODS = ("lora",), ("lora", "full")
UNMEASURED = (
    "The task's metric is not measured while training: with --shard no process has the whole "
    "model to answer with. The best weights are those of the lowest validation loss."
)


def require_divisible(config: TuneConfig, world: World) -> None:
    """Raise ConfigError for an algorithm or method that has not been shown to work divided."""
    if world.size > 1:
        require(config, world.sharded)


def require(config: TuneConfig, sharded: bool = False) -> None:
    """The same, for the process that launches the others."""
    flag = " with --shard" if sharded else ""
    for name, type_, known in (
        ("algorithm", config.algorithm.type, ALGORITHMS),
        ("method", config.method.type, SHARDED_METHODS if sharded else METHODS),
    ):
        if type_ not in known:
            raise ConfigError(
                f"[tune] {name} = {' or '.join(known)} on several devices{flag}",
                got=f"{name} = {type_!r}",
                remedy="tune it on one device: leave --devices out"
                + (", or divide the weights: add --shard" if type_ in SHARDED_METHODS else ""),
            )
    for expected, got, remedy in _unshardable(config) if sharded else ():
        raise ConfigError(f"{expected} with --shard", got=got, remedy=remedy)


def _unshardable(config: TuneConfig) -> Iterator[tuple[str, str, str]]:
    """Settings that need the whole model in one process: what is expected, is there, and to do."""
    if config.start_from is not None:
        yield (
            "a tune from the base's own weights",
            f"start_from = {str(config.start_from)!r}",
            "leave start_from out of [tune], or --shard",
        )
    if isinstance(config.method, Full) and config.method.scale != 1:
        yield (
            "method.scale = 1",
            f"scale = {config.method.scale:g}",
            "leave scale out of [tune] method, or --shard",
        )
    if config.best_by not in ("auto", LOSS):
        yield (
            'best_by = "auto" or "loss"',
            f"best_by = {config.best_by!r}",
            'set best_by = "loss": replies cannot be measured while training on shards',
        )
