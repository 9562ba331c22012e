"""Recognise and replace personal identifiers; and the one check on text leaving the machine."""

from metier.privacy.config import EgressEntry, PrivacyConfig
from metier.privacy.egress import Egress
from metier.privacy.recognise import find_identifiers, redact
from metier.privacy.types import Finding, Recogniser

__all__ = [
    "Egress",
    "EgressEntry",
    "Finding",
    "PrivacyConfig",
    "Recogniser",
    "find_identifiers",
    "redact",
]
