"""Recognise and replace personal identifiers; and the one check on text leaving the machine."""

from metier.privacy.config import EgressEntry, PrivacyConfig
from metier.privacy.egress import Egress
from metier.privacy.identifiers import Finding, find_identifiers, redact

__all__ = ["Egress", "EgressEntry", "Finding", "PrivacyConfig", "find_identifiers", "redact"]
