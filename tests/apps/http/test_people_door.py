"""The way in: first start, login and its end, throttling, tokens, invitations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from http_desk import write_project
from metier.core.store.tables import LoginFailureRow, LoginRow
from metier.journey.session import Session, open_session
from metier.people import NewInvitation, find_login, get_person, invite, reset_link, set_password
from metier.people.accounts import has_accounts, list_people
from people_site import HERE, PASSWORD, Browser, email_of, logged_in, person


@pytest.fixture
def session(tmp_path: Path, database_url: str) -> Iterator[Session]:
    """A project, once on SQLite and once on PostgreSQL."""
    with open_session(write_project(tmp_path / "desk", store=database_url)) as made:
        yield made


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Session]:
    """A project on SQLite, for what no database decides."""
    with open_session(write_project(tmp_path / "desk")) as made:
        yield made


def test_the_first_start_makes_an_owner_and_then_everybody_logs_in(session: Session) -> None:
    browser = Browser(session)
    assert browser.get("/").headers["location"] == "/start"
    page = browser.get("/start").text
    assert "Create the owner account" in page and "Go on alone on this machine" in page
    made = browser.post(
        "/start/owner", "/start", name="Mara", email="Mara@Example.org", password=PASSWORD,
        again=PASSWORD,
    )  # fmt: skip
    assert made.status_code == 303 and made.headers["location"] == "/"
    assert browser.get("/").status_code == 200 and "Mara" in browser.get("/").text
    [mara] = list_people(session.workspace)
    assert (mara.role, mara.email) == ("owner", "mara@example.org")
    stranger = Browser(session)
    away = stranger.get("/runs")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/runs")
    assert stranger.get("/start").headers["location"] == "/login"
    again = stranger.post("/start/owner", "/login", name="Eve", email="eve@example.org",
                          password=PASSWORD, again=PASSWORD)  # fmt: skip
    assert again.status_code == 422 and len(list_people(session.workspace)) == 1


def test_going_on_alone_needs_no_login(plain: Session) -> None:
    browser = Browser(plain)
    assert browser.post("/start/alone", "/start").headers["location"] == "/"
    assert browser.get("/").status_code == 200
    assert not has_accounts(plain.workspace)
    assert [one.action for one in plain.workspace.audit.entries("this machine")] == ["people.alone"]


def test_once_there_is_an_account_the_api_asks_for_a_key_too(plain: Session) -> None:
    from fastapi.testclient import TestClient

    from http_desk import IdleGateway
    from metier.apps.http.app import make_app

    client = TestClient(make_app(plain, "api", gateway=IdleGateway()), base_url=HERE)  # type: ignore[arg-type]
    assert client.get("/v1/queue/none").status_code in (404, 405)
    person(plain.workspace, "mara", "owner")
    assert client.get("/v1/queue/none").status_code == 401


def test_login_leads_back_and_a_wrong_one_says_so(session: Session) -> None:
    person(session.workspace, "mara", "owner")
    browser = Browser(session)
    for email, password in ((email_of("mara"), "wrong"), ("nobody@example.org", PASSWORD)):
        wrong = browser.log_in(email, password)
        assert wrong.status_code == 401 and "Try again" in wrong.text
        assert browser.cookie == ""
    right = browser.log_in(" MARA@example.org", next="/people")
    assert (right.status_code, right.headers["location"]) == (303, "/people")
    given = next(h for h in right.headers.get_list("set-cookie") if browser.cookie in h)
    assert "HttpOnly" in given and "SameSite=lax" in given and "Path=/" in given
    with session.workspace.db.reading() as reading:
        [row] = reading.scalars(select(LoginRow))
    assert browser.cookie not in row.hash, "the secret itself is kept nowhere"
    said = [(one.actor, one.action) for one in session.workspace.audit.entries()]
    assert [one for _, one in said].count("login.failed") == 2
    assert (get_person(session.workspace, email_of("mara")).id, "login") in said


@pytest.mark.parametrize(
    "next", ["//evil.example", "https://evil.example/", "/\\evil.example", "/login", "javascript:1"]
)
def test_the_login_leads_to_no_other_site(plain: Session, next: str) -> None:
    person(plain.workspace, "mara", "owner")
    assert Browser(plain).log_in(email_of("mara"), next=next).headers["location"] == "/"


def test_a_login_always_has_a_new_secret(session: Session) -> None:
    """No session fixation: what a browser held before, or was given by others, opens nothing."""
    person(session.workspace, "mara", "owner")
    browser = Browser(session)
    name = next(iter(_cookie_names(browser)))
    planted = "A" * 43
    browser.client.cookies.set(name.removesuffix("_browser"), planted, domain="127.0.0.1")
    browser.log_in(email_of("mara"))
    first = browser.cookie
    assert first != planted
    token = browser.token("/account")
    browser.client.cookies.clear()
    browser.client.cookies.set(name.removesuffix("_browser"), first, domain="127.0.0.1")
    again = browser.send("/login", token, email=email_of("mara"), password=PASSWORD)
    assert again.status_code == 303 and browser.cookie != first
    assert find_login(session.workspace, first, session.project.people) is None, "it has ended"
    assert find_login(session.workspace, planted, session.project.people) is None


def _cookie_names(browser: Browser) -> list[str]:
    browser.get("/login")
    return [one.name for one in browser.client.cookies.jar]


def test_wrong_passwords_have_to_wait_longer_and_longer(session: Session) -> None:
    person(session.workspace, "mara", "owner")
    browser = Browser(session)
    token = browser.token("/login")
    sent = {"email": email_of("mara"), "password": "wrong"}
    assert [browser.send("/login", token, **sent).status_code for _ in range(5)] == [401] * 5
    late = browser.send("/login", token, email=email_of("mara"), password=PASSWORD)
    assert late.status_code == 429 and 1 <= int(late.headers["retry-after"]) <= 15
    assert "Wait " in late.text and " s and try again" in late.text
    _age_failures(session, timedelta(seconds=16))
    assert browser.send("/login", token, **sent).status_code == 401
    assert 16 < int(browser.send("/login", token, **sent).headers["retry-after"]) <= 30
    _age_failures(session, timedelta(minutes=15))
    assert (
        browser.send("/login", token, email=email_of("mara"), password=PASSWORD).status_code == 303
    )
    with session.workspace.db.reading() as reading:
        held = list(reading.scalars(select(LoginFailureRow)))
    assert all(email_of("mara") not in one.who and "testclient" not in one.who for one in held)


def _age_failures(session: Session, by: timedelta) -> None:
    with session.workspace.db.session() as own:
        for row in own.scalars(select(LoginFailureRow)):
            row.at = row.at - by


def test_an_unknown_account_is_slowed_alike_and_an_address_too(plain: Session) -> None:
    person(plain.workspace, "mara", "owner")
    browser = Browser(plain)
    token = browser.token("/login")

    def wrong(email: str) -> int:
        return browser.send("/login", token, email=email, password="wrong").status_code

    assert [wrong("nobody@example.org") for _ in range(6)] == [401] * 5 + [429]
    assert [wrong(f"n{n}@example.org") for n in range(16)] == [401] * 15 + [429]
    assert browser.log_in(email_of("mara")).status_code == 429, "this address has to wait"


def test_many_tries_at_once_are_not_many_for_free(session: Session) -> None:
    person(session.workspace, "mara", "owner")
    results: list[int] = []
    browsers = [Browser(session) for _ in range(10)]

    def guess(number: int) -> None:
        got = browsers[number].log_in(email_of("mara"), f"guess number {number}")
        results.append(got.status_code)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(10)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(results) == [401] * 5 + [429] * 5


def test_an_idle_login_ends_and_a_busy_one_does_too_in_the_end(session: Session) -> None:
    person(session.workspace, "mara", "owner")
    browser = logged_in(session, "mara")

    def age(**columns: Any) -> None:
        with session.workspace.db.session() as own:
            own.execute(update(LoginRow).values(**columns))

    now = datetime.now(UTC)
    age(seen_at=now - timedelta(minutes=14))
    polled = browser.get("/runs/jobs", headers={"X-Metier-By-Itself": "1"})
    assert polled.status_code == 200
    age(seen_at=now - timedelta(minutes=14))
    assert browser.get("/alive").status_code == 204
    with session.workspace.db.reading() as reading:
        [row] = reading.scalars(select(LoginRow))
    assert row.seen_at >= now - timedelta(seconds=5), "typing is doing something"
    age(seen_at=now - timedelta(minutes=14))
    browser.get("/runs/jobs", headers={"X-Metier-By-Itself": "1"})
    age(seen_at=now - timedelta(minutes=15, seconds=1))
    assert browser.get("/runs").headers["location"].startswith("/login")
    age(seen_at=now, expires_at=now - timedelta(seconds=1))
    assert browser.get("/runs").status_code == 303


def test_a_poll_does_not_keep_a_login_alive(plain: Session) -> None:
    person(plain.workspace, "mara", "owner")
    browser = logged_in(plain, "mara")
    old = datetime.now(UTC) - timedelta(minutes=10)
    with plain.workspace.db.session() as own:
        own.execute(update(LoginRow).values(seen_at=old))
    assert browser.get("/runs", headers={"X-Metier-By-Itself": "1"}).status_code == 200
    with plain.workspace.db.reading() as reading:
        assert next(iter(reading.scalars(select(LoginRow)))).seen_at == old


def test_logging_out_ends_the_login_and_not_the_cookie_alone(session: Session) -> None:
    person(session.workspace, "mara", "owner")
    browser = logged_in(session, "mara")
    secret, other = browser.cookie, logged_in(session, "mara")
    assert browser.post("/logout", "/account").headers["location"] == "/login"
    assert browser.cookie == "" and other.get("/runs").status_code == 200
    assert find_login(session.workspace, secret, session.project.people) is None
    set_password(session.workspace, email_of("mara"), "another good password", "test")
    assert other.get("/runs").status_code == 303, "a new password ends every login"


@pytest.mark.parametrize(
    "path", ["/people/invite", "/logout", "/annotate/q/item_1/pass", "/account/fields"]
)
def test_a_post_without_the_logins_own_token_is_refused(plain: Session, path: str) -> None:
    mara = person(plain.workspace, "mara", "owner")
    person(plain.workspace, "eve", "engineer")
    browser, other = logged_in(plain, "mara"), logged_in(plain, "eve")
    foreign = other.token("/account")
    for token in ("", "0" * 64, foreign):
        got = browser.send(path, token, role="viewer", fields="x")
        assert got.status_code == 403 and "token of the page" in got.text
    own = browser.token("/account")
    assert browser.client.post("/account/fields", data={"csrf": own}).status_code == 403, (
        "no origin"
    )
    sent = browser.client.post(
        "/account/fields", data={"fields": "lamps"}, follow_redirects=False,
        headers={"Origin": HERE, "X-CSRF-Token": own},
    )  # fmt: skip
    assert sent.status_code == 303 and get_person(plain.workspace, mara.id).fields == ("lamps",)


def test_an_ended_login_sends_htmx_to_the_login_and_back(plain: Session) -> None:
    person(plain.workspace, "mara", "owner")
    part = {"HX-Request": "true", "HX-Current-URL": f"{HERE}/label?item=1"}
    got = Browser(plain).get("/label/peek", headers=part)
    assert got.status_code == 401 and got.headers["hx-redirect"] == "/login?next=/label%3Fitem%3D1"


# -- invitations ----------------------------------------------------------------------------------


def test_an_invitation_lets_one_person_in_once(session: Session) -> None:
    mara = person(session.workspace, "mara", "owner")
    new = NewInvitation("annotator", "li@example.org")
    made, secret = invite(session.workspace, new, mara.id)
    browser, page = Browser(session), f"/join?code={secret}"
    assert "li@example.org" in browser.get(page).text
    weak = browser.post("/join", page, code=secret, name="Li", password="short")
    assert weak.status_code == 422 and "12 to 256 characters" in weak.text
    joined = browser.post("/join", page, code=secret, name="Li", password=PASSWORD,
                          email="other@example.org")  # fmt: skip
    assert joined.headers["location"] == "/" and browser.get("/queues").status_code == 200
    li = get_person(session.workspace, "li@example.org")
    assert (li.name, li.role) == ("Li", "annotator"), "the e-mail is the invitation's"
    assert Browser(session).get(page).status_code == 410
    assert browser.get("/").headers["location"] == "/queues", (
        "home is the first page that is theirs"
    )
    said = [(one.actor, one.action) for one in session.workspace.audit.entries(made.id)]
    assert said == [(mara.id, "invitation.make"), (li.id, "invitation.accept")]
    with session.workspace.db.reading() as reading:
        assert secret not in str(
            reading.connection().exec_driver_sql("SELECT * FROM invitations").all()
        )


def test_of_many_who_take_up_an_invitation_at_once_one_gets_in(session: Session) -> None:
    mara = person(session.workspace, "mara", "owner")
    _, secret = invite(session.workspace, NewInvitation("viewer"), mara.id)
    results: list[int] = []
    browsers = [Browser(session) for _ in range(8)]
    tokens = [one.token("/login") for one in browsers]

    def join(number: int) -> None:
        got = browsers[number].send("/join", tokens[number], code=secret, name=f"P{number}",
                                    email=f"p{number}@example.org", password=PASSWORD)  # fmt: skip
        results.append(got.status_code)

    threads = [threading.Thread(target=join, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(results) == [303] + [410] * 7
    assert len(list_people(session.workspace)) == 2


def test_a_guest_joins_without_a_password_and_comes_back_by_a_new_link(session: Session) -> None:
    mara = person(session.workspace, "mara", "owner")
    _, secret = invite(session.workspace, NewInvitation("guest", queue="panel"), mara.id)
    browser = Browser(session)
    browser.post("/join", f"/join?code={secret}", code=secret)
    [guest] = [one for one in list_people(session.workspace) if one.role == "guest"]
    assert guest.queue == "panel" and guest.name.startswith("Guest ")
    for path in ("/runs", "/people", "/audit", "/queues"):
        assert browser.get(path).status_code == 403, path
    with session.workspace.db.session() as own:
        own.execute(update(LoginRow).values(seen_at=datetime.now(UTC) - timedelta(days=2)))
    assert browser.get("/account").status_code == 200, "a guest cannot log in again: it stays"
    _, back = reset_link(session.workspace, guest.id, mara.id)
    elsewhere = Browser(session)
    elsewhere.post("/join", f"/join?code={back}", code=back)
    assert guest.name in elsewhere.get("/account").text
    assert len([one for one in list_people(session.workspace) if one.role == "guest"]) == 1
    assert browser.get("/account").status_code == 303, "the login from before has ended"


def test_a_new_link_sets_a_new_password(plain: Session) -> None:
    mara = person(plain.workspace, "mara", "owner")
    _, first = reset_link(plain.workspace, mara.id, mara.id)
    _, secret = reset_link(plain.workspace, mara.id, mara.id)
    assert Browser(plain).get(f"/join?code={first}").status_code == 410, "the newest alone works"
    browser = Browser(plain)
    other = "quite another password"
    assert (
        browser.post("/join", f"/join?code={secret}", code=secret, password=other).status_code
        == 303
    )
    assert Browser(plain).log_in(email_of("mara"), PASSWORD).status_code == 401
    assert Browser(plain).log_in(email_of("mara"), other).status_code == 303


def test_over_https_the_cookie_is_secure_and_bound_to_its_host(tmp_path: Path) -> None:
    file = write_project(tmp_path / "desk", 'public_url = "https://desk.example.com"\n')
    with open_session(file) as session:
        person(session.workspace, "mara", "owner")
        browser = Browser(session, "https://desk.example.com")
        got = browser.log_in(email_of("mara"))
        held = [one for one in got.headers.get_list("set-cookie") if "Max-Age=0" not in one]
        assert len(held) == 1 and held[0].startswith("__Host-metier_") and "Secure" in held[0]
        assert browser.get("/runs").status_code == 200
        assert browser.get("/runs", headers={"Host": "evil.example"}).status_code == 403
