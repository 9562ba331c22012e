"""What is tried: ranges to values, and values into the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import ValidationError

from metier.core.errors import ConfigError, nearest
from metier.core.types import Json
from metier.tune.config import TuneConfig
from metier.tune.sweep.config import LogRange, Range, Values

Settings = Mapping[str, Json]
DIGITS = 3
"""Significant digits of a value that was computed: nobody wants lr = 0.00031622776."""
DRAWN_POINTS = 8
"""Values of a range without points, where it must be gone through one by one."""


def setting(config: TuneConfig, name: str) -> Any:
    """Return a setting by its dotted name.

    Raises ConfigError naming the known ones where there is none of that name, as a rank where
    every weight is trained.
    """
    here: Any = config
    for part in name.split("."):
        if part not in getattr(type(here), "model_fields", ()):
            raise ConfigError(
                "a setting of [tune] in [sweep] space",
                got=repr(name),
                remedy=nearest(name, names(config)),
            )
        here = getattr(here, part)
    return here


def names(config: TuneConfig) -> list[str]:
    """Return the dotted names of all settings that hold one value."""
    found = []
    for name, value in config:
        if hasattr(type(value), "model_fields"):
            found += [f"{name}.{inner}" for inner, _ in value if inner != "type"]
        else:
            found.append(name)
    return found


def with_settings(config: TuneConfig, settings: Settings) -> TuneConfig:
    """Return the config with some settings changed, checked as if they stood in metier.toml.

    Raises ConfigError where a value is not allowed there.
    """
    data: dict[str, Any] = config.model_dump(mode="json", exclude_unset=False)
    for name, value in settings.items():
        setting(config, name)
        table, keys = data, name.split(".")
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = value
    try:
        return TuneConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            "values in [sweep] space that [tune] takes",
            got=f"{_shown(settings)}: {first['msg']}",
            remedy="correct the range",
        ) from error


def _shown(settings: Settings) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def resolve(values: Range, today: Json, most: int = DRAWN_POINTS) -> list[Json]:
    """Return the values of a range, ascending but for a list, which keeps its order.

    ``today`` is the setting's value now; a range without points gets ``most`` of them.
    """
    if isinstance(values, Values):
        return [_like(today, one) for one in values.values]
    if isinstance(values, LogRange):
        count = values.points or max(2, most)
        step = (values.high / values.low) ** (1 / (count - 1))
        found = [values.low * step**i for i in range(count - 1)] + [values.high]
    else:
        half = values.points // 2
        found = [float(today) * values.factor**i for i in range(-half, half + 1)]
    return list(dict.fromkeys(_like(today, one) for one in found))


def _like(today: Json, value: Any) -> Json:
    """A whole number where the setting is one, never below 1; else ``DIGITS`` digits."""
    if isinstance(value, str):
        return value
    if isinstance(today, int) and not isinstance(today, bool):
        return max(1, round(value))
    return float(f"{value:.{DIGITS}g}")


def is_finite(space: Mapping[str, Range]) -> bool:
    """Say whether every range names its values."""
    return not any(isinstance(one, LogRange) and one.points == 0 for one in space.values())


def grid(space: Mapping[str, Sequence[Json]]) -> list[dict[str, Json]]:
    """Return all combinations, the first setting's values going slowest."""
    return [dict(zip(space, chosen, strict=True)) for chosen in product(*space.values())]


def resolve_all(space: Mapping[str, Range], config: TuneConfig, lr: float) -> dict[str, list[Json]]:
    """Return the values of every range; ``lr`` is what today's learning rate comes to."""
    return {
        name: resolve(values, lr if name == "lr" else setting(config, name))
        for name, values in space.items()
    }
