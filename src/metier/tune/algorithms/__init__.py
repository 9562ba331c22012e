"""What is learned from: one module per algorithm, each with items, passes and a loss.

``make`` finds the module named by ``[tune] algorithm`` and lets it make its items.
"""

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from metier.tune.algorithms.base import Algorithm, Ground

__all__ = ["make"]


def make(ground: "Ground") -> "Algorithm":
    """Make the algorithm of the ground's settings: ``metier.tune.algorithms.<type>.make``."""
    module = import_module(f"{__name__}.{ground.config.algorithm.type}")
    return cast("Algorithm", module.make(ground))
