"""Recognise people, places and organisations: bundled, or with a model the user names."""

from metier.privacy.names.geography import level
from metier.privacy.names.models import ModelRecogniser, names_recogniser
from metier.privacy.names.recogniser import NameRecogniser

__all__ = ["ModelRecogniser", "NameRecogniser", "level", "names_recogniser"]
