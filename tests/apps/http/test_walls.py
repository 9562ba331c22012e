"""What must not come through: scripts in texts, forged posts, other people's items, stolen or
planted sessions, guessed passwords, bodies too large, paths that climb, links that lead away.

Pages are found in the app itself: one that is new fails here until somebody names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient

from metier.apps.http.pages.frame import HEADERS
from metier.core import ledger
from metier.people.logins import list_logins
from metier.queue import get_assignment, list_items, take_next
from people_site import HERE, PASSWORD, TOKEN, Browser, email_of, person
from whole_site import ADDRESS, EVIL, Whole, all_routes, whole

PLANTED = "planted-by-somebody-else-0000000000000000000"
EVIL_HERE = "http://evil.example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("walls") / "project", EVIL) as made:
        yield made


def visitor(site: Whole, name: str = "") -> Browser:
    """A browser, logged in as somebody ("": as nobody)."""
    browser = Browser.__new__(Browser)
    browser.client = TestClient(site.app, base_url=HERE)
    if name:
        assert browser.log_in(email_of(name)).status_code == 303, name
    return browser


@pytest.fixture(scope="module")
def owner(site: Whole) -> Browser:
    return visitor(site, "mara")


class Tags(HTMLParser):
    """Collects what a browser would run, or be led away by."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if tag in ("xss-probe", "iframe", "object", "embed", "base", "style"):
            self.wrong.append(f"<{tag}>")
        if tag == "script" and not held.get("src", "").startswith("/static/"):
            self.wrong.append(f"<script {held}>")
        for name, value in held.items():
            led = name in ("href", "src", "action", "formaction", "hx-get", "hx-post")
            outward = led and not value.startswith(("/", "#", "?")) and value
            if name.startswith(("on", "hx-on")) or name == "style" or outward:
                self.wrong.append(f"<{tag} {name}={value!r}>")
            if led and value.startswith("//"):
                self.wrong.append(f"<{tag} {name}={value!r}>")


def wrong_in(page: str) -> list[str]:
    tags = Tags()
    tags.feed(page)
    tags.close()
    return tags.wrong


# -- scripts in texts -----------------------------------------------------------------------------


def test_the_probe_of_this_test_finds_what_it_looks_for() -> None:
    assert wrong_in(f"<p>{EVIL}</p>") and wrong_in(f'<p title="{EVIL}">')
    for bad in ("<a href='javascript:x'>", "<a href='//evil.example'>", "<b onclick=x>",
                "<img src=http://evil.example>", "<p style='x'>",
                "<script>x</script>"):  # fmt: skip
        assert wrong_in(bad), bad
    assert not wrong_in('<a href="/runs">runs</a><script src="/static/app.js"></script>')


def test_no_text_becomes_a_tag_on_any_page(site: Whole, owner: Browser) -> None:
    shown = 0
    for path in site.paths():
        answer = owner.client.get(path)
        assert answer.status_code in (200, 204), (path, answer.status_code, answer.text[-600:])
        assert wrong_in(answer.text) == [], path
        shown += "xss-probe" in answer.text
    assert shown >= 10, "the texts of this site are not on its pages: what was tested?"


@pytest.mark.parametrize("name", ["ann", "rita", "audi", "vi", "eva"])
def test_no_text_becomes_a_tag_for_anybody(site: Whole, name: str) -> None:
    browser = visitor(site, name)
    opened = 0
    for path in site.paths():
        answer = browser.client.get(path)
        assert answer.status_code in (200, 204, 403, 404), (path, answer.status_code)
        assert wrong_in(answer.text) == [], path
        opened += answer.status_code == 200
    assert opened >= 2


def test_what_is_asked_for_is_escaped_too(site: Whole, owner: Browser) -> None:
    for path in ("/interactions?q={}", "/compare?q={}", "/data/{}", "/data/suspects?kind={}",
                 "/data/quarantine?reason={}", "/data/changes?rule={}", "/runs/{}", "/lineage/{}",
                 "/queues/{}", "/annotate/{}", "/audit?action={}", "/try?a={}", "/login?next={}",
                 "/join?code={}"):  # fmt: skip
        answer = owner.client.get(path.format(EVIL.replace("/", "%2F").replace("?", "%3F")))
        assert answer.status_code < 500 and wrong_in(answer.text) == [], path
    for data in ({"message": EVIL}, {"message": "x", "a": EVIL, "turns_a": "[]"}):
        sent = owner.post("/try", "/try", **data)
        assert sent.status_code < 500 and wrong_in(sent.text) == []


def test_a_sealed_text_is_on_no_page(site: Whole, owner: Browser) -> None:
    for path in site.paths():
        assert ADDRESS not in owner.client.get(path).text, path


# -- headers --------------------------------------------------------------------------------------


def test_every_page_and_every_refusal_carries_the_headers(site: Whole, owner: Browser) -> None:
    nobody = visitor(site)
    for browser, paths in (
        (owner, [*site.paths(), "/runs/run_nothing", "/data/ver_nothing"]),
        (nobody, ["/login", "/join?code=x"]),
    ):
        for path in paths:
            answer = browser.client.get(path)
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    for told in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert told in policy


# -- nobody gets in -------------------------------------------------------------------------------


def test_nobody_sees_a_page_without_a_login(site: Whole) -> None:
    nobody = visitor(site)
    for path in site.paths():
        answer = nobody.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login?next="), path
        piece = nobody.client.get(path, headers={"HX-Request": "true"}, follow_redirects=False)
        assert piece.status_code == 401 and not piece.text, path


def posts(site: Whole) -> list[str]:
    from metier.apps.http.app import make_app

    found = all_routes(make_app(site.session, "web"))
    return sorted({one.path for one in found if "POST" in (one.methods or ())})


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "nothing", path)


def test_every_post_without_the_pages_token_is_refused(site: Whole, owner: Browser) -> None:
    """Cross-site request forgery: neither another origin nor another's token gets through."""
    own = {"Origin": HERE}
    token = owner.token("/account")
    other = visitor(site, "eva").token("/account")
    assert token != other and len(posts(site)) > 20
    before = len(site.session.workspace.audit.entries())
    for route in posts(site):
        path = filled(route)
        for headers, data in (
            (own, {}),
            (own, {"csrf": "0" * 64}),
            (own, {"csrf": other}),
            ({"Origin": EVIL_HERE}, {"csrf": token}),
            ({"Origin": "null"}, {"csrf": token}),
            ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, {"csrf": token}),
            ({}, {"csrf": token}),
        ):
            sent = owner.client.post(path, data=data, headers=headers, follow_redirects=False)
            assert sent.status_code == 403, (path, headers, sent.status_code)
    assert len(site.session.workspace.audit.entries()) == before, "a refused post did something"


def test_a_get_changes_nothing(site: Whole) -> None:
    """Links and images of other sites can only get: no page may act on that."""
    browser = visitor(site, "eva")
    ws = site.session.workspace
    before = {one.id: one.state for one in list_items(ws, "round-1")}
    since = len(ws.audit.entries())
    for path in site.paths():
        browser.client.get(path)
    done = {one.action for one in ws.audit.entries()[since:]}
    assert done <= {"view", "data.view", "sealed.open"}, done
    assert {one.id: one.state for one in list_items(ws, "round-1")} == before


# -- other people's things ------------------------------------------------------------------------


def held_by(site: Whole, name: str, queue: str = "round-2") -> str:
    """The id of the assignment that somebody holds."""
    found = take_next(site.session.workspace, queue, site.people[name].id)
    assert found is not None
    return found[1].id


def test_an_annotator_cannot_reach_anothers_item(site: Whole) -> None:
    ws, ben = site.session.workspace, visitor(site, "ben")
    hers = held_by(site, "ann")
    token = ben.token("/account")
    for what, data in (
        ("", {"f-answer": "billing", "answer": "billing"}),
        ("/draft", {"draft": "{}"}),
        ("/pass", {"reason": "x"}),
    ):
        sent = ben.send(f"/annotate/round-2/{hers}{what}", token, **data)
        assert sent.status_code in (404, 422), what
    shown = ben.get(f"/annotate/round-2?item={hers}")
    assert shown.status_code == 404
    assert ben.get(f"/annotate/round-2/{hers}/image/{'0' * 64}").status_code == 404
    _, mine = get_assignment(ws, hers, site.people["ann"].id)
    assert (mine.state, mine.answer, mine.draft) == ("leased", None, None)


def test_anothers_answers_cannot_be_seen_by_who_has_not_answered(site: Whole) -> None:
    """Blind: neither adjudication nor agreement opens before one's own answers are given."""
    ws = site.session.workspace
    item, held = take_next(ws, "round-2", site.people["ann"].id) or pytest.fail("nothing")
    from metier.queue import Given, submit

    submit(ws, held.id, site.people["ann"].id, Given("billing", comment="my secret thought"))
    ben = visitor(site, "ben")
    for path in (*site.paths(), "/agreement/round-2", "/adjudicate/round-2",
                 f"/adjudicate/round-2/{item.id}", f"/lineage/{item.id}"):  # fmt: skip
        assert "my secret thought" not in ben.client.get(path).text, path


def test_roles_open_what_they_may(site: Whole) -> None:
    """An annotator reaches no page that could sway them, nor one that is the owner's."""
    ann = visitor(site, "ann")
    for path in ("/runs", "/compare", "/interactions", "/data", "/data/suspects", "/people",
                 "/audit", "/lineage/x", "/review/spring/results", "/queues/new",
                 "/data/quarantine", "/agreement/round-1",
                 f"/data/{site.ids['version']}"):  # fmt: skip
        assert ann.get(path).status_code in (403, 404), path
    page = ann.client.get("/queues").text
    for hidden in ('href="/data"', 'href="/runs"', 'href="/people"', "champion"):
        assert hidden not in page


# -- logins ---------------------------------------------------------------------------------------


def test_a_session_planted_before_the_login_is_not_the_one_after(site: Whole) -> None:
    """Session fixation: logging in makes a new secret, and ends what the browser had."""
    browser = visitor(site)
    browser.get("/login")
    planted = {one.name: one.value for one in browser.client.cookies.jar}
    name = next(iter(planted)).removesuffix("_browser")
    domain = next(iter(browser.client.cookies.jar)).domain
    browser.client.cookies.set(name, PLANTED, domain=domain, path="/")
    token = browser.token("/login")
    browser.log_in(email_of("eva"))
    after = browser.cookie
    assert after and after not in planted.values() and "planted" not in after
    assert len(after) >= 40, "128 bits and more"
    assert browser.token("/account") != token, "the form's token is another one, too"
    thief = visitor(site)
    thief.client.cookies.set(name, PLANTED, domain=domain, path="/")
    assert thief.get("/account").status_code == 303
    thief.client.cookies.set(name, after, domain=domain, path="/")
    assert thief.get("/account").status_code == 200
    browser.post("/logout", "/account")
    assert thief.get("/account").status_code == 303, "logging out ends the session on the server"


def test_a_second_login_does_not_reuse_the_first(site: Whole) -> None:
    browser = visitor(site, "vi")
    first = browser.cookie
    browser.post("/logout", "/account")
    browser.log_in(email_of("vi"))
    logins = list_logins(site.session.workspace, site.session.project.people)
    assert first not in (browser.cookie, *map(str, logins)), "the secret is stored nowhere"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Whole) -> None:
    browser = visitor(site)
    answer = browser.log_in(email_of("eva"))
    for cookie in answer.headers.get_list("set-cookie"):
        told = cookie.lower()
        assert "httponly" in told and "samesite=lax" in told and "path=/" in told


def test_guessing_passwords_is_slowed_to_nothing(site: Whole) -> None:
    """Brute force: after a few wrong ones even the right one waits, for that person alone."""
    ws = site.session.workspace
    person(ws, "victim", "viewer")
    browser = visitor(site)
    codes = [browser.log_in(email_of("victim"), f"wrong {n}").status_code for n in range(12)]
    assert codes[0] == 401 and codes[-1] == 429, codes
    held = browser.log_in(email_of("victim"))
    assert held.status_code == 429 and int(held.headers["retry-after"]) > 0
    entries = [one for one in ws.audit.entries() if "login" in one.action]
    assert entries and not any(email_of("victim") in str(one.detail) for one in entries)


def test_a_login_does_not_tell_who_has_an_account(site: Whole) -> None:
    browser = visitor(site)
    known = browser.log_in(email_of("audi"), "certainly wrong")
    unknown = browser.log_in("nobody@example.org", "certainly wrong")
    if known.status_code == unknown.status_code == 401:
        bare = [re.sub(r'value="[^"]*"', "", one.text) for one in (known, unknown)]
        assert bare[0] == bare[1]


# -- bodies, paths, links -------------------------------------------------------------------------


def test_a_body_too_large_is_refused_before_it_is_read(site: Whole, owner: Browser) -> None:
    most = site.session.project.serve.max_body_bytes
    token = owner.token("/account")
    for path in ("/try", "/annotate/round-2/x", "/login", "/v1/feedback"):
        announced = owner.client.post(
            path, content=b"x", headers={"Content-Length": str(most + 1), "Origin": HERE}
        )
        assert announced.status_code in (400, 401, 413), (path, announced.status_code)
    sent = owner.send("/try", token, message="x" * (most + 1))
    assert sent.status_code == 413


@pytest.mark.parametrize("climb", ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//",
                                   "%252e%252e%252f", "/"])  # fmt: skip
def test_no_path_leads_out_of_where_files_lie(site: Whole, owner: Browser, climb: str) -> None:
    for base in ("/static/", "/annotate/round-2/x/image/", "/review/spring/x/image/",
                 "/audit/entries.", "/data/", "/guidelines/", "/queues/"):  # fmt: skip
        for target in ("metier.toml", "etc/passwd", "key", ".metier/key", "app.py"):
            answer = owner.client.get(base + climb * 6 + target, follow_redirects=False)
            assert answer.status_code in (303, 307, 400, 403, 404, 405, 422), (base, climb, target)
            assert "root:" not in answer.text and "[project]" not in answer.text


def test_no_link_leads_to_another_site(site: Whole) -> None:
    """Open redirects: after the login one goes to a page of this server, whatever was asked."""
    for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
                   "http:evil.example", "javascript:alert(1)", "/%09/evil.example", "/\t/evil",
                   "///evil.example", "/login?next=//evil.example",
                   "https:/evil.example"):  # fmt: skip
        browser = visitor(site)
        page = browser.client.get("/login", params={"next": wanted})
        assert page.status_code == 200
        token = TOKEN.search(page.text)
        assert token is not None
        sent = browser.send("/login", token[1], email=email_of("eva"), password=PASSWORD,
                            next=wanted)  # fmt: skip
        assert sent.status_code == 303 and is_here(sent.headers["location"]), wanted
        again = browser.client.get("/login", params={"next": wanted}, follow_redirects=False)
        assert again.status_code == 303 and is_here(again.headers["location"]), wanted


def is_here(location: str) -> bool:
    return re.fullmatch(r"/(?![/\\])[^\\\x00-\x1f]*", location) is not None


def test_a_foreign_host_name_is_not_served(site: Whole) -> None:
    """DNS rebinding: a name that somebody pointed at this machine opens nothing."""
    client = TestClient(site.app, base_url="http://evil.example")
    for path in ("/login", "/", "/v1/models", "/static/app.css"):
        assert client.get(path, follow_redirects=False).status_code in (401, 403), path


def test_an_error_of_ours_tells_nothing(site: Whole, owner: Browser, monkeypatch: Any) -> None:
    """A bug answers 500 with a number for the log, without what went wrong inside."""
    from metier.apps.http.pages.data import versions

    def broken(site: Any) -> None:
        raise RuntimeError(f"secret {ADDRESS}")

    monkeypatch.setattr(versions, "list_view", broken)
    client = TestClient(site.app, base_url=HERE, raise_server_exceptions=False)
    client.cookies = owner.client.cookies
    answer = client.get("/data")
    assert answer.status_code == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert "req_" in answer.text


def test_one_erases_nothing_by_looking(site: Whole) -> None:
    """After all this the chain of the audit log is whole and every item is where it was."""
    ws = site.session.workspace
    assert ws.audit.verify().ok
    assert len(list_items(ws, "round-1")) == 6 and len(ledger.list_versions(ws)) == 2
