"""The section ``[privacy]``: what may leave the machine, and to whom."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metier.core.objective import Section


class EgressEntry(Section):
    """One permission for text to leave the machine."""

    host: Annotated[str, Field(min_length=1)]
    """Host name or address as in the URL, e.g. api.example.com; with :port it holds for that port
    only."""
    purpose: Annotated[str, Field(min_length=1)]
    """What the text is sent for, e.g. "baseline"; a refusal names the purpose to write here."""
    agreement: Annotated[str, Field(min_length=1)]
    """Reference of the contract that allows it, e.g. "DPA 2026-03"; it goes into the audit log."""


class PrivacyConfig(Section):
    """What may leave the machine. Empty: nothing."""

    egress: list[EgressEntry] = Field(default_factory=list)
    """Permissions, each an [[privacy.egress]] table."""
