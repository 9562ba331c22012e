"""metier: turn a general language model into a specialist, and prove it.

The package is laid out in the order of the journey; see ``docs/design/001-the-house.md``.
Import what you need from the unit that owns it, e.g. ``from metier.tune import tune``.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
