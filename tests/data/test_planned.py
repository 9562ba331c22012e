"""A planned test size follows from the objective's targets."""

import pytest

from metier.core.errors import ConfigError
from metier.core.objective import Objective, Target
from metier.data.config import DataConfig
from metier.data.planned import planned
from metier.scoring import needs

PLANNED = DataConfig(test="planned")


def objective(*targets: Target) -> Objective:
    return Objective(task="classify", target=list(targets))


def test_the_target_that_needs_most_decides() -> None:
    both = objective(
        Target(metric="accuracy", at_least=0.8), Target(metric="error_rate", at_most=0.1)
    )
    found = planned(PLANNED, both)
    assert found.test == max(row.items_needed or 0 for row in needs(both))
    assert isinstance(found.test, int) and found.test > 50


def test_a_number_stays() -> None:
    assert planned(DataConfig(test=0.3), objective()).test == 0.3


def test_without_a_target_nothing_can_be_planned() -> None:
    with pytest.raises(ConfigError, match="no targets"):
        planned(PLANNED, objective())
