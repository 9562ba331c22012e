"""Logging in with an account from elsewhere: OpenID Connect, authorization code with PKCE.

url, trip = Provider(config, egress).depart(redirect_uri)      the browser goes to ``url``
claims = Provider(config, egress).arrive(trip, query)          and comes back with ``query``
person = person_of_claims(ws, config, claims)

``trip`` stays in the browser that left, so nobody can be logged in with somebody else's answer
(state), nor can an ID token be used a second time (nonce), nor a stolen code (PKCE).
https://openid.net/specs/openid-connect-core-1_0.html, sections 3.1.2 and 3.1.3; RFC 7636;
RFC 9700 (best current practice); RFC 9207 (iss in the answer).
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select

from metier.core.errors import InputError, UserError
from metier.core.store.tables import PersonRow
from metier.core.workspace import Workspace
from metier.people.accounts import NewPerson, add_person, clean_email, person_in
from metier.people.config import OidcConfig
from metier.people.types import Person
from metier.privacy import Egress

PURPOSE = "login"
WELL_KNOWN = "/.well-known/openid-configuration"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
              "Ed25519")  # fmt: skip
"""Signatures with a key pair; never "none", nor a secret that this side knows too."""
LEEWAY_S = 60
TIMEOUT_S = 10.0
_LONGEST = 1_000_000


class LoginRefused(UserError):
    """What the provider said does not let this person in."""

    http_status = 403


@dataclass(frozen=True, slots=True)
class Trip:
    """What the browser keeps while its person is at the provider."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Claims:
    """Who somebody is, as the provider signed it. ``email`` is set only when it was verified."""

    issuer: str
    subject: str
    email: str | None
    name: str


class Provider:
    """One OpenID provider. Every request to it passes the egress check."""

    def __init__(
        self, config: OidcConfig, egress: Egress, client: httpx.Client | None = None
    ) -> None:
        self._config, self._egress = config, egress
        self._client = client or httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)

    def depart(self, redirect_uri: str) -> tuple[str, Trip]:
        """Return where to send the browser, and what it keeps."""
        trip = Trip(generate_token(43), generate_token(43), generate_token(64), redirect_uri)
        url = prepare_grant_uri(
            self._found()["authorization_endpoint"],
            client_id=self._config.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope="openid email profile",
            state=trip.state,
            nonce=trip.nonce,
            code_challenge=create_s256_code_challenge(trip.verifier),
            code_challenge_method="S256",
        )
        return str(url), trip

    def arrive(self, trip: Trip, query: Mapping[str, str]) -> Claims:
        """Return who came back. Raises LoginRefused for anything that does not fit together."""
        if not hmac.compare_digest(query.get("state", "").encode(), trip.state.encode()):
            raise _refused("the answer to the login that this browser began", "another")
        if query.get("iss", self._config.issuer) != self._config.issuer:
            raise _refused("an answer of the provider that was asked", "another's")
        if "error" in query or not query.get("code"):
            raise _refused("a login at the provider", "none: it was cancelled or refused there")
        found = self._found()
        token = self._exchange(found["token_endpoint"], trip, query["code"])
        keys = KeySet.import_key_set(cast(Any, self._get(found["jwks_uri"])))
        return claims_of(token, keys, self._config, trip.nonce)

    def _found(self) -> dict[str, Any]:
        found = self._get(self._config.issuer.rstrip("/") + WELL_KNOWN)
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if found.get("issuer") != self._config.issuer or any(one not in found for one in needed):
            raise _refused(f"the provider {self._config.issuer}", "one that calls itself otherwise")
        return found

    def _exchange(self, url: str, trip: Trip, code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": trip.redirect_uri,
            "client_id": self._config.client_id,
            "code_verifier": trip.verifier,
        }
        name = self._config.client_secret_env
        if name is not None:
            if not os.environ.get(name):
                raise InputError(f"the client's secret in the environment as {name}", got="none")
            form["client_secret"] = os.environ[name]
        token = self._send("POST", url, form).get("id_token")
        if not isinstance(token, str):
            raise _refused("an ID token", "none")
        return token

    def _get(self, url: str) -> dict[str, Any]:
        return self._send("GET", url)

    def _send(self, method: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        self._egress.check(url, PURPOSE)
        try:
            answer = self._client.request(method, url, data=form)
            if answer.status_code != 200 or len(answer.content) > _LONGEST:
                raise _refused("an answer of the provider", f"status {answer.status_code}")
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _refused("a provider that answers", type(error).__name__) from error
        if not isinstance(found, dict):
            raise _refused("a JSON object from the provider", type(found).__name__)
        return found


def claims_of(token: str, keys: KeySet, config: OidcConfig, nonce: str) -> Claims:
    """Check an ID token (section 3.1.3.7) and return what it says. Raises LoginRefused."""
    try:
        read = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        checks = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": config.issuer},
            aud={"essential": True, "value": config.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        checks.validate(read.claims)
    except (JoseError, ValueError) as error:
        raise _refused("an ID token for this login", _plain(error)) from error
    said = read.claims
    audience = said["aud"]
    several = isinstance(audience, list) and len(audience) > 1
    if (several or "azp" in said) and said.get("azp") != config.client_id:
        raise _refused("an ID token for this login", "one for another program")
    email = said.get("email") if said.get("email_verified") is True else None
    name = str(said.get("name") or email or said["sub"])
    return Claims(config.issuer, str(said["sub"]), email and clean_email(email), name)


def person_of_claims(ws: Workspace, config: OidcConfig, claims: Claims) -> Person:
    """Return the person here that a provider's account belongs to: known from before, or by its
    verified e-mail, or new where its domain may join. Raises LoginRefused."""
    with ws.db.session() as session:
        same = PersonRow.issuer == claims.issuer, PersonRow.subject == claims.subject
        row = session.scalars(select(PersonRow).where(*same)).first()
        if row is None and claims.email is not None:
            query = select(PersonRow).where(PersonRow.email == claims.email)
            row = session.scalars(query).first()
            if row is not None and row.subject is None:
                row.issuer, row.subject = claims.issuer, claims.subject
                ws.audit.append(row.id, "person.connect", row.id, session=session)
            elif row is not None:
                raise _refused("the account that was connected before", "another of that e-mail")
        if row is not None:
            if row.disabled_at is not None:
                raise _refused("somebody who may come in", "an account that is shut out")
            return person_in(row)
        if claims.email is None or claims.email.rpartition("@")[2] not in config.domains:
            raise _refused("somebody who has an account here", "somebody who was not invited")
        new = NewPerson(
            claims.name[:100], config.role, claims.email,
            issuer=claims.issuer, subject=claims.subject,
        )  # fmt: skip
        return add_person(ws, new, "oidc", session=session)


def _plain(error: Exception) -> str:
    """What is wrong, in the library's word for it; never what the token said."""
    return f"one that does not pass: {type(error).__name__}"


def _refused(expected: str, got: str) -> LoginRefused:
    return LoginRefused(expected, got=got, remedy="log in again, or ask an owner for an invitation")
