"""What can be tuned on several devices: what a test compares with one device, nothing else."""

from __future__ import annotations

from metier.core.errors import ConfigError
from metier.tune.config import TuneConfig
from metier.tune.devices.world import World

ALGORITHMS = ("sft",)
METHODS = ("lora",)


def require_divisible(config: TuneConfig, world: World) -> None:
    """Raise ConfigError for an algorithm or method that has not been shown to work divided."""
    if world.size > 1:
        require(config)


def require(config: TuneConfig) -> None:
    """The same, for the process that launches the others."""
    for name, type_, known in (
        ("algorithm", config.algorithm.type, ALGORITHMS),
        ("method", config.method.type, METHODS),
    ):
        if type_ not in known:
            raise ConfigError(
                f"[tune] {name} = {' or '.join(known)} on several devices",
                got=f"{name} = {type_!r}",
                remedy="tune it on one device: leave --devices out",
            )
