"""Loss-mask inspection: examples exactly as they are trained on, token by token.

``inspect`` shows metier's own, ``inspect_config`` what another trainer would make of its data;
``check`` looks for what makes a tune useless without a word, and ``refuse`` stops it.
"""

from metier.tune.inspect.checks import check, refuse
from metier.tune.inspect.own import inspect
from metier.tune.inspect.types import Finding, Inspected, Inspection, Token

__all__ = ["Finding", "Inspected", "Inspection", "Token", "check", "inspect", "refuse"]
