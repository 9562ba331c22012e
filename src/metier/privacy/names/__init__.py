"""Recognise people, places and organisations: bundled, or with a model the user names."""

from metier.privacy.names.geography import level
from metier.privacy.names.recogniser import NameRecogniser

__all__ = ["NameRecogniser", "level"]
