"""[data] test = "planned": as many test rows as the objective's targets need."""

from __future__ import annotations

from metier.core.errors import ConfigError
from metier.core.objective import Objective
from metier.data.config import DataConfig
from metier.scoring import needs


def planned(config: DataConfig, objective: Objective) -> DataConfig:
    """Return the config with the planned test size as a number; as it is where one is given.

    The number is the largest that a target or constraint needs, with the assumptions of
    ``scoring.planning``. Raises ConfigError where no target says how many it needs.
    """
    if config.test != "planned":
        return config
    rows = needs(objective)
    wanted = [row.items_needed for row in rows if row.items_needed]
    if not wanted:
        said = "; ".join(f"{row.target.metric}: {row.words}" for row in rows) or "no targets"
        raise ConfigError(
            'a target from which a test size follows ([data] test = "planned")',
            got=said,
            remedy="give a target with at_least or at_most, or set test to a number",
        )
    return config.model_copy(update={"test": max(wanted)})
