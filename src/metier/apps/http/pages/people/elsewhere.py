"""Logging in with an account from elsewhere: to the provider and back."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from metier.apps.http.cookies import cookies_of
from metier.apps.http.pages.allowed import anybody
from metier.apps.http.pages.frame import Here, PageRoute, Site
from metier.apps.http.pages.people.door import with_login
from metier.apps.http.paths import HOME, local_path
from metier.core.errors import NotFound
from metier.people import OidcConfig, begin_login
from metier.people.oidc import LoginRefused, Provider, Trip, person_of_claims
from metier.privacy import Egress

router = APIRouter(route_class=PageRoute, prefix="/oidc", dependencies=[anybody()])
TRIP_S = 600


@router.get("/login")
def depart(request: Request, site: Here, next: str = HOME) -> Response:
    """Send the browser to the provider."""
    url, trip = provider_of(site).depart(callback_of(request, site))
    answer, cookies = RedirectResponse(url, 303), cookies_of(site.session)
    cookies.give(answer, cookies.trip, pack(site, trip, local_path(next)), TRIP_S)
    return answer


@router.get("/callback")
def arrive(request: Request, site: Here) -> Response:
    """Take up who came back from the provider, and log them in."""
    cookies, config = cookies_of(site.session), config_of(site)
    trip, path = unpack(site, request.cookies.get(cookies.trip, ""))
    claims = provider_of(site).arrive(trip, request.query_params)
    person = person_of_claims(site.session.workspace, config, claims)
    secret = begin_login(site.session.workspace, person, site.session.project.people, "oidc")
    answer = with_login(request, site, person, secret, path)
    cookies.take(answer, cookies.trip)
    return answer


def config_of(site: Site) -> OidcConfig:
    """The provider's settings. Raises NotFound where there are none."""
    config = site.session.project.people.oidc
    if config is None:
        raise NotFound("a provider in [people.oidc]", got="none", remedy="log in with a password")
    return config


def provider_of(site: Site) -> Provider:
    """The provider that this project trusts."""
    session = site.session
    return Provider(config_of(site), Egress(session.project.privacy, session.workspace.audit))


def callback_of(request: Request, site: Site) -> str:
    """Where the provider sends the browser back to; it must be registered there."""
    base = site.session.project.serve.public_url or str(request.base_url).rstrip("/")
    return f"{base}/oidc/callback"


def pack(site: Site, trip: Trip, path: str) -> str:
    """What the browser keeps, signed, so that nobody else can have put it there."""
    body = base64.urlsafe_b64encode(json.dumps([asdict(trip), path]).encode()).decode()
    return f"{body}.{_sign(site, body)}"


def unpack(site: Site, kept: str) -> tuple[Trip, str]:
    """What the browser kept. Raises LoginRefused where it began no login."""
    body, _, signed = kept.partition(".")
    if not body or not hmac.compare_digest(signed.encode(), _sign(site, body).encode()):
        raise LoginRefused("the answer to a login that this browser began", got="no such login",
                           remedy="log in again")  # fmt: skip
    trip, path = json.loads(base64.urlsafe_b64decode(body))
    return Trip(**trip), local_path(path)


def _sign(site: Site, body: str) -> str:
    key = site.session.workspace.sealed.derive("oidc trip")
    return hmac.digest(key, body.encode(), "sha256").hex()
