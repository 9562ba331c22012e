"""OIDC against a small provider of the test's own, which signs what it says."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from http_desk import write_project
from metier.core.errors import EgressRefused
from metier.journey.session import Session, open_session
from metier.people import get_person, list_people
from metier.people.config import OidcConfig
from people_site import Browser, email_of, person

CLIENT = "metier-desk"
SECRET = "the client's secret"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
Twist = Callable[[dict[str, Any]], Any]


class Idp:
    """An OpenID provider: discovery, keys, and codes for tokens, with PKCE and the secret checked.

    ``said`` is what it says of whoever logs in; ``sign`` makes the token of the claims.
    """

    def __init__(self) -> None:
        self.said: dict[str, Any] = {
            "sub": "u-17", "email": "mara@example.org", "email_verified": True, "name": "Mara Lind",
        }  # fmt: skip
        self.twist: Twist = lambda claims: None
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(
            {"alg": "RS256", "kid": "one"}, claims, KEY
        )
        self._codes: dict[str, dict[str, str]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/.well-known/openid-configuration":
                    self.answer(outer.described())
                elif self.path == "/keys":
                    self.answer({"keys": [KEY.as_dict(private=False)]})
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                found = outer.token(form)
                self.answer(found if found else {"error": "invalid_grant"}, 200 if found else 400)

            def answer(self, what: dict[str, Any], status: int = 200) -> None:
                body = json.dumps(what).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def described(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }

    def authorize(self, url: str) -> dict[str, str]:
        """What a person's browser does at the provider: log in; returns what it comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.url}/authorize?") and asked["client_id"] == CLIENT
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        assert asked["scope"] == "openid email profile"
        code = f"code {len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        right = (
            asked is not None
            and challenge == asked["code_challenge"]
            and form["redirect_uri"] == asked["redirect_uri"]
            and form.get("client_secret") == SECRET
        )
        if asked is None or not right:
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"]} | self.said
        self.twist(claims)
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}

    @contextmanager
    def running(self) -> Iterator[Idp]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@pytest.fixture
def idp() -> Iterator[Idp]:
    with Idp().running() as made:
        yield made


SETTINGS = """
[people.oidc]
issuer = "{url}"
client_id = "metier-desk"
client_secret_env = "DESK_SECRET"
name = "Fernhill"
domains = ["example.org"]
role = "annotator"
"""
ALLOWED = """
[[privacy.egress]]
host = "127.0.0.1"
purpose = "login"
agreement = "own provider"
"""


@pytest.fixture
def session(idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DESK_SECRET", SECRET)
    file = write_project(tmp_path / "desk", SETTINGS.format(url=idp.url) + ALLOWED)
    with open_session(file) as made:
        person(made.workspace, "owner", "owner")
        yield made


def come_back(browser: Browser, idp: Idp, **changes: str) -> Any:
    gone = browser.get("/oidc/login?next=/queues")
    assert gone.status_code == 303
    return browser.get("/oidc/callback", params=idp.authorize(gone.headers["location"]) | changes)


def test_somebody_of_an_allowed_domain_joins_and_is_known_again(idp: Idp, session: Session) -> None:
    browser = Browser(session)
    assert "Log in with Fernhill" in browser.get("/login").text
    back = come_back(browser, idp)
    assert (back.status_code, back.headers["location"]) == (303, "/queues")
    assert browser.get("/queues").status_code == 200
    mara = get_person(session.workspace, "mara@example.org")
    assert (mara.name, mara.role) == ("Mara Lind", "annotator")
    idp.said |= {"email": "mara.lind@example.org"}
    assert come_back(Browser(session), idp).status_code == 303, "known by the provider's subject"
    assert len(list_people(session.workspace)) == 2
    logins = [one for one in session.workspace.audit.entries(mara.id) if one.action == "login"]
    assert [one.detail["how"] for one in logins] == ["oidc", "oidc"]


def test_an_account_is_found_by_its_verified_email(idp: Idp, session: Session) -> None:
    li = person(session.workspace, "li", "engineer")
    idp.said |= {"email": email_of("li").upper(), "sub": "u-li"}
    assert come_back(Browser(session), idp).status_code == 303
    idp.said |= {"sub": "somebody else at the provider"}
    assert come_back(Browser(session), idp).status_code == 403, "the account has its subject"
    assert get_person(session.workspace, li.id).role == "engineer"


@pytest.mark.parametrize(
    "said",
    [
        {"email": "eve@elsewhere.example"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "eve@example.org.evil.example"},
    ],
)
def test_who_was_not_invited_stays_out(idp: Idp, session: Session, said: dict[str, Any]) -> None:
    idp.said |= said
    browser = Browser(session)
    got = come_back(browser, idp)
    assert got.status_code == 403 and "not invited" in got.text
    assert browser.cookie == "" and len(list_people(session.workspace)) == 1


def change(**claims: Any) -> Twist:
    return lambda held: held.update(claims)


@pytest.mark.parametrize(
    ("twist", "reason"),
    [
        (change(nonce="another"), "InvalidClaimError"),
        (lambda claims: claims.pop("nonce"), "MissingClaimError"),
        (change(aud="another-client"), "InvalidClaimError"),
        (change(aud=[CLIENT, "another"]), "another program"),
        (change(azp="another"), "another program"),
        (change(iss="https://evil.example"), "InvalidClaimError"),
        (change(exp=int(time.time()) - 3600), "ExpiredTokenError"),
        (change(iat=int(time.time()) + 3600), "InvalidClaimError"),
        (lambda claims: claims.pop("exp"), "MissingClaimError"),
    ],
)
def test_a_token_that_is_not_for_this_login_is_refused(
    idp: Idp, session: Session, twist: Twist, reason: str
) -> None:
    idp.twist = twist
    browser = Browser(session)
    got = come_back(browser, idp)
    assert got.status_code == 403 and reason in got.text and browser.cookie == ""


def test_a_token_with_another_signature_is_refused(idp: Idp, session: Session) -> None:
    secret = OctKey.import_key(SECRET)
    ways: list[Callable[[dict[str, Any]], str]] = [
        lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER),
        lambda claims: jwt.encode({"alg": "HS256"}, claims, secret),
        lambda claims: _unsigned(claims),
        lambda claims: "no token",
    ]
    for way in ways:
        idp.sign = way
        assert come_back(Browser(session), idp).status_code == 403
    assert len(list_people(session.workspace)) == 1


def _unsigned(claims: dict[str, Any]) -> str:
    parts = [json.dumps(one).encode() for one in ({"alg": "none"}, claims)]
    return ".".join(urlsafe_b64encode(one).rstrip(b"=").decode() for one in parts) + "."


def test_an_answer_belongs_to_the_browser_that_asked(idp: Idp, session: Session) -> None:
    eve, mara = Browser(session), Browser(session)
    answer = idp.authorize(eve.get("/oidc/login").headers["location"])
    assert mara.get("/oidc/callback", params=answer).status_code == 403, "it began no login"
    mara.get("/oidc/login")
    got = mara.get("/oidc/callback", params=answer)
    assert got.status_code == 403 and mara.cookie == "", "the state is another browser's"
    assert come_back(Browser(session), idp, state="guessed").status_code == 403
    assert come_back(Browser(session), idp, iss="https://evil.example").status_code == 403
    assert come_back(Browser(session), idp, error="access_denied").status_code == 403


def test_a_stolen_code_is_worth_nothing(idp: Idp, session: Session) -> None:
    """PKCE: the thief's own login has another verifier."""
    mara, eve = Browser(session), Browser(session)
    stolen = idp.authorize(mara.get("/oidc/login").headers["location"])["code"]
    assert come_back(eve, idp, code=stolen).status_code == 403 and eve.cookie == ""


def test_a_provider_needs_the_egress_rule(
    idp: Idp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_SECRET", SECRET)
    file = write_project(tmp_path / "desk", SETTINGS.format(url=idp.url))
    with open_session(file) as session:
        person(session.workspace, "owner", "owner")
        got = Browser(session).get("/oidc/login")
        assert got.status_code == EgressRefused.http_status and "purpose" in got.text


def test_a_provider_elsewhere_must_be_encrypted() -> None:
    with pytest.raises(ValueError, match="https"):
        OidcConfig(issuer="http://login.example.org", client_id="x")
