"""API keys: a random secret that is shown once; only its SHA-256 is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from metier.core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the API, without its secret. ``expires_at`` None: it does not expire."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create_key(
    ws: Workspace, name: str, expires_days: float | None = None, *, actor: str | None = None
) -> tuple[ApiKey, str]:
    """Make a key; returns it and its secret, which cannot be had again."""
    raise NotImplementedError


def list_keys(ws: Workspace) -> list[ApiKey]:
    """All keys, oldest first, revoked and expired ones too."""
    raise NotImplementedError


def revoke_key(ws: Workspace, key: str, *, actor: str | None = None) -> ApiKey:
    """Revoke a key by its id or name; revoking it again changes nothing. Raises NotFound."""
    raise NotImplementedError


def check_key(ws: Workspace, secret: str) -> ApiKey | None:
    """Return the key that this secret opens, None when there is none that is still valid."""
    raise NotImplementedError
