"""Keys, host names and origins: who gets in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from http_desk import HERE, desk_app, opened
from metier.apps.http.auth import check_bind
from metier.core.errors import UserError
from metier.core.store.tables import ApiKeyRow
from metier.journey.session import Session
from metier.people.keys import create_key, revoke_key
from people_site import person
from serve_fakes import FakeModel, champion

ASKED = {"model": "champion", "messages": [{"role": "user", "content": "hi"}]}
KEYED = "require_key = true\n"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with opened(tmp_path_factory.mktemp("desk"), KEYED) as made:
        champion(made.workspace)
        yield made


@pytest.fixture(scope="module")
def keyed(session: Session) -> Iterator[TestClient]:
    """A server that demands keys."""
    with TestClient(desk_app(session, FakeModel()), base_url=HERE) as client:
        yield client


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, TestClient]]:
    """A loopback server without keys."""
    with opened(tmp_path_factory.mktemp("free")) as made:
        champion(made.workspace)
        with TestClient(desk_app(made, FakeModel()), base_url=HERE) as client:
            yield made, client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    ("headers", "got"),
    [
        ({}, "got none"),
        (bearer("mk_" + "x" * 43), "got one that is unknown"),
        (bearer("sk-something"), "got one that is unknown"),
        (bearer(""), "got none"),
        ({"Authorization": "Basic bWU6bWU="}, "got none"),
    ],
)
def test_without_a_key_nothing_is_answered(
    keyed: TestClient, headers: dict[str, str], got: str
) -> None:
    for answer in (
        keyed.post("/v1/chat/completions", json=ASKED, headers=headers),
        keyed.get("/v1/models", headers=headers),
        keyed.post("/v1/feedback", content=b"{", headers=headers),
        keyed.post("/v1/queue/next", json={"worker": "a"}, headers=headers),
        keyed.get("/v1/nothing", headers=headers),
    ):
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        error = answer.json()["error"]
        assert error["code"] == "invalid_api_key" and got in error["message"]


def test_a_key_lets_in_until_it_is_revoked(keyed: TestClient, session: Session) -> None:
    key, secret = create_key(session.workspace, "helpdesk")
    assert keyed.get("/v1/models", headers=bearer(secret)).status_code == 200
    assert keyed.get("/v1/models", headers=bearer(secret + "x")).status_code == 401
    revoke_key(session.workspace, key.id)
    assert keyed.get("/v1/models", headers=bearer(secret)).status_code == 401


def test_a_key_lets_in_until_it_expires(keyed: TestClient, session: Session) -> None:
    key, secret = create_key(session.workspace, "for a week", 7)
    assert keyed.get("/v1/models", headers=bearer(secret)).status_code == 200
    with session.workspace.db.session() as own:
        row = own.get(ApiKeyRow, key.id)
        assert row is not None
        row.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    assert keyed.get("/v1/models", headers=bearer(secret)).status_code == 401


def test_a_key_stands_for_whoever_gives_feedback(keyed: TestClient, session: Session) -> None:
    from metier.core.ledger import list_feedback

    _, secret = create_key(session.workspace, "webshop")
    reply = keyed.post("/v1/chat/completions", json=ASKED, headers=bearer(secret)).json()
    said = {"metric_name": "helpful", "value": True, "inference_id": reply["id"]}
    assert keyed.post("/v1/feedback", json=said, headers=bearer(secret)).status_code == 200
    assert [one.actor for one in list_feedback(session.workspace, [reply["id"]])] == ["webshop"]


def test_health_needs_no_key(keyed: TestClient) -> None:
    assert keyed.get("/health", headers={"Host": "10.0.0.1"}).json() == {"status": "ok"}
    assert keyed.get("/ready", headers={"Host": "10.0.0.1"}).status_code in (200, 503)


def test_a_key_opens_other_names_of_the_server_too(keyed: TestClient, session: Session) -> None:
    """A proxy may stand before it: who has a key is no page that was tricked."""
    _, secret = create_key(session.workspace, "proxied")
    headers = {"Host": "desk.example.com"} | bearer(secret)
    assert keyed.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8421", "[::1]:80", "LOCALHOST:1", "[::1]"]
)
def test_without_keys_a_loopback_name_is_answered(
    free: tuple[Session, TestClient], host: str
) -> None:
    for headers in ({}, bearer("unused")):
        got = free[1].get("/v1/models", headers={"Host": host} | headers)
        assert got.status_code == 200 and "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8421", "127.0.0.1.evil.example", "localhost.evil", "0.0.0.0"],
)
@pytest.mark.parametrize("path", ["/v1/models", "/openapi.json", "/"])
def test_a_foreign_name_is_refused(free: tuple[Session, TestClient], host: str, path: str) -> None:
    got = free[1].get(path, headers={"Host": host})
    assert got.status_code == 403 and got.json()["error"]["type"] == "permission_error"
    assert host not in got.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8421.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_a_page_of_another_site_is_refused(
    free: tuple[Session, TestClient], headers: dict[str, str]
) -> None:
    client = free[1]
    for got in (
        client.post("/v1/chat/completions", json=ASKED, headers=headers),
        client.get("/v1/models", headers=headers),
        client.options("/v1/models", headers=headers),
    ):
        assert got.status_code == 403 and "access-control-allow-origin" not in got.headers


def test_pages_of_its_own_are_answered_and_links_followed(
    free: tuple[Session, TestClient],
) -> None:
    own = {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
    assert free[1].get("/v1/models", headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert free[1].get("/nothing", headers=link).status_code == 404
    assert free[1].post("/nothing", headers=link).status_code == 403


def test_a_key_that_is_sent_is_checked(free: tuple[Session, TestClient]) -> None:
    session, client = free
    key, secret = create_key(session.workspace, "old")
    assert client.get("/v1/models", headers=bearer(secret)).status_code == 200
    revoke_key(session.workspace, key.id)
    assert client.get("/v1/models", headers=bearer(secret)).status_code == 401


def test_another_address_demands_a_key(free: tuple[Session, TestClient]) -> None:
    app = desk_app(free[0], FakeModel(), host="0.0.0.0")
    client = TestClient(app, base_url="http://desk.example.com")
    assert client.get("/v1/models").status_code == 401
    assert client.get("/v1/models", headers={"Host": "localhost"}).status_code == 401


def test_what_may_be_bound(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        ws = session.workspace
        for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"):
            check_bind(ws, host, only_api=False)
        with pytest.raises(UserError, match="metier people add NAME --role owner"):
            check_bind(ws, "0.0.0.0", only_api=False)
        with pytest.raises(UserError, match="an owner's account"):
            check_bind(ws, "127.0.0.1", only_api=False, public_url="https://desk.example.com")
        with pytest.raises(UserError, match="metier keys create"):
            check_bind(ws, "0.0.0.0", only_api=True)
        key, _ = create_key(ws, "one")
        for host in ("0.0.0.0", "::", "10.1.2.3", "desk.example.com"):
            check_bind(ws, host, only_api=True)
        revoke_key(ws, key.id)
        with pytest.raises(UserError, match="no key"):
            check_bind(ws, "192.168.0.1", only_api=True)
        person(ws, "mara", "owner")
        check_bind(ws, "0.0.0.0", only_api=False)


def test_a_key_opens_what_its_scopes_say(free: tuple[Session, TestClient]) -> None:
    session, client = free
    _, talks = create_key(session.workspace, "talks", scopes=["chat"])
    _, reads = create_key(session.workspace, "reads", scopes=["read"])
    for secret, status in ((talks, 200), (reads, 403)):
        asked = client.post("/v1/chat/completions", json=ASKED, headers=bearer(secret))
        assert asked.status_code == status
        assert client.get("/v1/models", headers=bearer(secret)).status_code == 200
        said = client.post("/v1/feedback", json={}, headers=bearer(secret))
        assert said.status_code == 403 and "a key with the scope feedback" in said.text
