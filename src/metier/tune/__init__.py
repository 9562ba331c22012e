"""tune: fine-tune a base model on a frozen data version. ``tune`` is the verb.

The heavy parts are imported when asked for, so that reading a config needs no torch.
"""

from typing import TYPE_CHECKING, Any

from metier.tune.config import TuneConfig

if TYPE_CHECKING:
    from metier.tune.run import tune

__all__ = ["TuneConfig", "tune"]


def __getattr__(name: str) -> Any:
    if name == "tune":
        from metier.tune.run import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
