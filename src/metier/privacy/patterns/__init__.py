"""Identifiers with a recognisable form, one module per family."""

from metier.privacy.patterns.recognisers import CLASSIC, WIDE

__all__ = ["CLASSIC", "WIDE"]
