"""The section ``[people]``: how long logins last, and who else may say who somebody is."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from metier.core.section import Section

Joining = Literal["owner", "engineer", "reviewer", "annotator", "auditor", "viewer"]
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OidcConfig(Section):
    """Logging in with an account that people have elsewhere (OpenID Connect)."""

    issuer: str
    """The provider's address, as in its /.well-known/openid-configuration; [privacy.egress] must
    permit its host for the purpose "login"."""
    client_id: Annotated[str, Field(min_length=1)]
    """What the provider calls this project."""
    client_secret_env: str | None = None
    """Environment variable that holds the client's secret; absent: a public client (PKCE alone)."""
    name: Annotated[str, Field(min_length=1, max_length=40)] = "your organisation"
    """What the button says: Log in with …"""
    domains: tuple[str, ...] = ()
    """E-mail domains whose people may join by themselves, e.g. clinic.example; empty: only those
    who have an account here already."""
    role: Joining = "viewer"
    """Role of whoever joins that way."""

    @model_validator(mode="after")
    def _issuer_is_encrypted(self) -> Self:
        parts = urlsplit(self.issuer)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError("issuer begins with https://, unless it is on this machine")
        return self


class PeopleConfig(Section):
    """How people log in, and for how long."""

    idle_minutes: Annotated[float, Field(gt=0, le=1440)] = 15.0
    """Minutes without anything done until a login ends."""
    login_hours: Annotated[float, Field(gt=0, le=720)] = 12.0
    """Hours until a login ends however busy."""
    invitation_days: Annotated[float, Field(gt=0, le=90)] = 7.0
    """Days until an invitation that nobody used ends."""
    guest_days: Annotated[float, Field(gt=0, le=90)] = 14.0
    """Days that a guest without account may come back in the same browser."""
    log_views: bool = True
    """Write into the audit log who looked at which page."""
    oidc: OidcConfig | None = None
    """Log in with an account from elsewhere."""
